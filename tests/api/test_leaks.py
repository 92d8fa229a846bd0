"""Nothing that is shown or logged, in any way a request can fail, holds a secret."""

from __future__ import annotations

import logging
import traceback
from urllib.parse import quote_plus

import pytest

from drillster_pipeline.api.retry import Backoff
from drillster_pipeline.api.transport import Limits
from drillster_pipeline.errors import PipelineError
from tests.support.scripted import Reply, json_reply

from .conftest import CLIENT_ID, CLIENT_SECRET

TOKEN = "eyJhbGciOiJSUzI1NiJ9.c2VjcmV0LXRva2Vu.c2lnbmF0dXJl"
GROUP, QUERY = "group-of-noor", "noor@example.org"


def echo(request):
    """What a careless server might do: send everything back."""
    return b'{"error":"%s","id":"%s","error_description":"%s"}' % (
        CLIENT_SECRET.encode(),
        TOKEN.encode(),
        request.body + request.headers.get("authorization", "").encode(),
    )


ANSWERS = {
    "refused": lambda request: Reply(status=400, body=echo(request)),
    "unauthorized": lambda request: Reply(status=401, body=echo(request)),
    "forbidden": lambda request: Reply(status=403, body=echo(request)),
    "busy": lambda request: Reply(status=503, body=echo(request), headers={"Retry-After": TOKEN}),
    "redirect": lambda _: Reply(status=302, headers={"Location": f"https://{TOKEN}.example/?t={TOKEN}"}),
    "not JSON": lambda request: Reply(body=b"<html>" + echo(request)),
    "JSON": lambda request: Reply(body=echo(request)),
    "reset": lambda _: Reply(reset=True),
    "cut": lambda request: Reply(pieces=[b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + echo(request)]),
    "not HTTP": lambda request: Reply(pieces=[echo(request)]),
    "strange head": lambda request: Reply(
        pieces=[b"HTTP/1.1 200 OK\r\n" + echo(request).replace(b":", b" ") + b"\r\n\r\n"]
    ),
    "silent": lambda _: Reply(wait=1),
}


def everything(error):
    """An error and all it hangs together with, as text."""
    pending, seen, texts = [error], set(), []
    while pending:
        link = pending.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        pending += [link.__cause__, link.__context__]
        texts += [repr(link), str(link), repr(link.args), repr(vars(link)), *traceback.format_exception(link)]
    return "\n".join(texts)


def hidden(drillster, private_key):
    forms = {request.form["assertion"] for request in drillster.requests if request.method == "POST"}
    lines = [line for line in private_key.splitlines() if "-----" not in line]
    secrets = {CLIENT_SECRET, TOKEN, TOKEN.split(".")[1], *forms, *(form.split(".")[1] for form in forms), *lines}
    return secrets | {quote_plus(secret) for secret in secrets}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("where", ["token", "api"])
def test_no_secret_is_shown_however_it_fails(
    make_client, make_tokens, drillster, private_key, answer, where, caplog, capfd
):
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests", "drillster_pipeline"):
        caplog.set_level(logging.DEBUG, logger=name)
    drillster.grant = lambda _: json_reply({"access_token": TOKEN, "expires_in": 60})
    if where == "token":
        drillster.grant = ANSWERS[answer]
    else:
        drillster.api = ANSWERS[answer]
    tokens = make_tokens(backoff=Backoff(attempts=2, first=0), response_seconds=0.2)
    client = make_client(tokens=tokens, backoff=Backoff(attempts=2), limits=Limits(read_seconds=0.2))
    objects = [client, tokens, client.metrics, vars(client), vars(tokens), vars(tokens.endpoint)]
    error = None
    try:
        objects.append(client.get("group/{group_id}/members", {"group_id": GROUP}, {"query": QUERY}))
    except PipelineError as raised:
        error = raised
    assert (error is None) == (answer == "JSON" and where == "api")
    assert drillster.requests
    shown = "\n".join([repr(objects), *map(str, objects)])
    logged = caplog.text + "".join(capfd.readouterr())
    text = everything(error) if error else ""
    for secret in hidden(drillster, private_key):
        for place in (shown, logged, text):
            assert secret not in place
    # Of ours only, as urllib3 logs paths at this level.
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("drillster"))
    for value in (GROUP, QUERY, CLIENT_ID):
        assert value not in text + ours
