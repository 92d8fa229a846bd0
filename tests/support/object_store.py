"""A real S3 server on this machine."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing-secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


@dataclass
class ObjectStore:
    """Where it is, and how to find it."""

    address: str
    environment: dict[str, str] = field(default_factory=dict)

    def bucket(self) -> str:
        """A new bucket."""
        name = f"archive-{uuid.uuid4()}"  # servers of one process share their buckets
        client = boto3.client("s3", endpoint_url=self.address)
        client.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        client.close()
        return name


@contextmanager
def object_store(address: str = "127.0.0.1") -> Iterator[ObjectStore]:
    """The server at an address, and settings under which fsspec finds it: as an operator would set them."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in CREDENTIALS.items():
            patched.setenv(name, value)
        server = ThreadedMotoServer(ip_address=address, port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        store = ObjectStore(f"http://{host}:{port}")
        store.environment = {**CREDENTIALS, "FSSPEC_S3_ENDPOINT_URL": store.address}
        with endpoint(store.address):
            yield store
        server.stop()


@contextmanager
def endpoint(address: str) -> Iterator[None]:
    """Let fsspec find its objects there."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("FSSPEC_S3_ENDPOINT_URL", address)
        settings: dict[str, dict[str, str]] = {}
        fsspec.config.set_conf_env(settings, envdict=dict(os.environ))  # what it does itself when it is imported
        patched.setitem(fsspec.config.conf, "s3", settings["s3"])
        yield
