"""The adapter of the commit before (c789a3c)."""

import os
import sys

sys.path.insert(0, os.path.dirname(__file__))

from adapter import Names, serve
from drillster_pipeline.api.backoff import Backoff
from drillster_pipeline.export.captures import capture
from drillster_pipeline.export.loads import publish
from drillster_pipeline.export.session import Session

from drillster_pipeline.api.client import Client
from drillster_pipeline.api.tokens import TokenSource
from drillster_pipeline.errors import PipelineError
from drillster_pipeline.settings import load_settings

IMPATIENT = Backoff(attempts=4, seconds=60.0, first=0.0, cap=0.0)


def client(session):
    return Client(
        base_url=session.settings.base_url,
        tokens=session.tokens,
        concurrency=session.settings.concurrency,
        backoff=IMPATIENT,
        random=lambda: 0.0,
    )


def tokens(session):
    settings = session.settings
    return TokenSource(
        token_url=f"{settings.base_url}/daas/oauth/token",
        client_id=settings.client_id,
        client_secret=settings.client_secret.reveal(),
        service_account_id=settings.service_account_id,
        private_key=settings.private_key.reveal(),
        backoff=IMPATIENT,
        random=lambda: 0.0,
    )


if __name__ == "__main__":
    serve(Names(Session, capture, publish, load_settings, PipelineError, client, tokens))
