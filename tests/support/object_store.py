"""A real S3 server on this machine, and a wire to it that can be cut."""

from __future__ import annotations

import os
import select
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

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
def object_store() -> Iterator[ObjectStore]:
    """The server, and settings under which fsspec finds it: as an operator would set them."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in CREDENTIALS.items():
            patched.setenv(name, value)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
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


class Wire:
    """A connection to the server that breaks in the middle of uploads while ``cut`` is set."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self._server = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cut = False
        self.cuts = 0
        self._over = threading.Event()
        self._listener.settimeout(0.05)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._carry, args=(near,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _carry(self, near: socket.socket) -> None:
        with suppress(OSError), near, socket.create_connection(self._server) as far:
            while not self._over.is_set():
                for ready in select.select([near, far], [], [], 0.05)[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    if ready is near and self.cut and data.startswith(b"PUT "):
                        far.sendall(data[: len(data) - 40])
                        self.cuts += 1
                        return
                    (far if ready is near else near).sendall(data)
