"""The adapter of the version that changes: names by candidates, the newest first. Mend it here when a name moves."""

import inspect
import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from adapter import Names, find, serve

P = "drillster_pipeline"
Backoff = find(f"{P}.api.retry:Backoff", f"{P}.api.backoff:Backoff", f"{P}.api.retry:RetryBudget")
Client = find(f"{P}.api.client:Client")
TokenSource = find(f"{P}.api.tokens:TokenSource")
TokenEndpoint = find(f"{P}.api.auth:TokenEndpoint")
Context = find(f"{P}.pipeline.context:PipelineContext", f"{P}.pipeline.context:Session")
capture = find(f"{P}.pipeline.capture:capture", f"{P}.pipeline:capture")
publish = find(f"{P}.pipeline.publish:publish", f"{P}.pipeline:publish")
load_settings = find(f"{P}.settings:load_settings")
PipelineError = find(f"{P}.errors:PipelineError")

# Whoever makes a context passes a clock of its own: here it is always that of the order.
_init = Context.__init__


def init(self, **values):
    _init(self, **{name: value for name, value in values.items() if name != "now"})


init.__kwdefaults__ = _init.__kwdefaults__  # adapter.prepare changes them
Context.__init__ = init

WANTED = {"attempts": 4, "seconds": 60.0, "first": 0.0, "cap": 0.0}
IMPATIENT = Backoff(**{name: value for name, value in WANTED.items() if name in inspect.signature(Backoff).parameters})


def impatient(made):
    """What ``make`` would make, with other retries."""
    return {
        name: value
        for name, value in {"backoff": IMPATIENT, "retry": IMPATIENT, "random": lambda: 0.0}.items()
        if name in inspect.signature(made).parameters
    }


def client(context):
    settings = context.settings
    return Client(
        base_url=settings.base_url, tokens=context.tokens, concurrency=settings.concurrency, **impatient(Client)
    )


def tokens(context):
    return TokenSource(TokenEndpoint(context.settings), **impatient(TokenSource))


if __name__ == "__main__":
    serve(Names(Context, capture, publish, load_settings, PipelineError, client, tokens))
