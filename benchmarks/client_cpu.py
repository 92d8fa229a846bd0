"""What the client costs per request, against the ideal (requests x latency / concurrency) and against bare requests.

A server in a process of its own answers after the latency; with ``--failures`` so large a share of its answers are
failures of mixed kinds. Run: ``python benchmarks/client_cpu.py [--failures 0.1]``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import secrets
import threading
import time
from collections.abc import Callable

import requests
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from drillster_pipeline.api.auth import TokenEndpoint
from drillster_pipeline.api.client import Client
from drillster_pipeline.api.tokens import TokenSource
from drillster_pipeline.settings import load_settings

ITEM = {
    "drillable": {"id": "Qm3vX0sTTeG1rJ8nB5yL2w", "type": "DRILL", "name": "Hygiëne op de afdeling"},
    "practice": {"proficiency": {"overall": 61}, "timeSpent": 3600, "lastPracticed": "2026-01-01T00:00:00Z"},
}
PAGE = json.dumps(
    {"groupDrillableMemberResults": [ITEM] * 20, "pagination": {"total": 20, "moreAvailable": False}}
).encode()
TOKEN = json.dumps({"access_token": "t" * 700, "expires_in": 7199, "token_type": "bearer"}).encode()


class Answering(asyncio.Protocol):
    """One connection of the server."""

    def __init__(self, latency: float, failures: float) -> None:
        self._latency, self._failures = latency, failures
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection to answer on."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer, after the latency, when a request is complete."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        grant = head.startswith(b"POST")
        if not end or (grant and not body):
            return
        self._received = b""
        status = 200
        if not grant and secrets.randbelow(10_000) < 10_000 * self._failures:
            status = secrets.choice([429, 500, 502, 503, 504])
        content = TOKEN if grant else PAGE
        answer = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nContent-Type: application/json\r\n\r\n" % (
            status,
            len(content),
        )
        asyncio.get_running_loop().call_later(self._latency, self._transport.write, answer + content)


def serve(port: multiprocessing.Queue, latency: float, failures: float) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answering(latency, failures), "127.0.0.1", 0, backlog=128)
        port.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


def measure(name: str, count: int, threads: int, latency: float, work: Callable[[], object]) -> None:
    work()
    remaining = iter(range(count))
    lock = threading.Lock()

    def worker() -> None:
        while True:
            with lock:
                if next(remaining, None) is None:
                    return
            work()

    workers = [threading.Thread(target=worker) for _ in range(threads)]
    began, cpu = time.perf_counter(), time.process_time()
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    ideal = count * latency / threads
    print(
        f"{name:<18} {seconds:6.2f} s = {seconds / ideal:.2f} x ideal, {cpu / count * 1000:.2f} ms of CPU per request"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=2500)
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--latency", type=float, default=50, help="milliseconds")
    parser.add_argument("--failures", type=float, default=0.0, help="share of answers, 0 to 1")
    options = parser.parse_args()
    latency = options.latency / 1000
    port = multiprocessing.Queue()
    server = multiprocessing.Process(target=serve, args=(port, latency, options.failures), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{port.get()}"
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path, unit, query = "group/{g}/member-results/{a}", {"g": "group", "a": "account"}, {"resultSize": 100}

    settings = load_settings(
        {
            "DRILLSTER_BASE_URL": url,
            "DRILLSTER_CLIENT_ID": "c",
            "DRILLSTER_CLIENT_SECRET": "s",
            "DRILLSTER_SERVICE_ACCOUNT_ID": "a",
            "DRILLSTER_PRIVATE_KEY": pem,
            "DRILLSTER_ARCHIVE_URL": "archive",
            "DRILLSTER_WAREHOUSE_URL": "sqlite://",
        }
    )
    with (
        TokenSource(TokenEndpoint(settings)) as tokens,
        Client(base_url=url, tokens=tokens, concurrency=options.threads) as client,
    ):
        measure("this client", options.requests, options.threads, latency, lambda: client.get(path, unit, query))
        print(f"{'':<18} {client.metrics.snapshot()}")

    if not options.failures:
        local = threading.local()

        def bare() -> object:
            if not hasattr(local, "session"):
                local.session = requests.Session()
            headers = {"Authorization": "Bearer " + "t" * 700}
            return local.session.get(f"{url}/api/2.1.1/group/g/member-results/a", params=query, headers=headers).json()

        measure("bare requests", options.requests, options.threads, latency, bare)
    server.terminate()


if __name__ == "__main__":
    main()
