"""Capture time against the ideal: requests x latency / in flight, measured against a sandbox in its own process.

For each setting: the ratio, the CPU time of either side per request, and the utilisation (which share of the time the
connections had a request under way). First of all, how many requests the sandbox answers per second to a client that
does nothing but write and read: a capture can't be faster than that. The ratio is worth something on an idle machine
with a core for each side; CPU times are worth something on any. Run: ``python benchmarks/capture.py [--runs 3]``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from drillster_pipeline.api.transport import RawResponse, Transport
from drillster_pipeline.pipeline.capture import capture
from drillster_pipeline.pipeline.context import PipelineContext
from drillster_pipeline.settings import load_settings
from tests.drillster import Faults, Sandbox, Size

MOMENT = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
SIZE = Size(accounts=302, groups=22, members_per_group=100, objectives_per_group=4, tests_per_group=1, stable=True)
"""About 2,500 requests."""
SETTINGS = ((0.05, 16), (0.02, 32))
"""Seconds that each answer takes, and requests in flight."""


def _serve(connection: Any, latency: float) -> None:
    with Sandbox(size=SIZE, faults=Faults(latency=latency), now=MOMENT) as sandbox:
        connection.send(sandbox.environment())
        while (received := connection.recv()) != "stop":
            connection.send(time.process_time() if received == "cpu" else [(r.path, r.query) for r in sandbox.requests])


class Served:
    """A sandbox in a process of its own."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.environment: dict[str, str] = connection.recv()

    def query(self, what: str) -> Any:
        """``cpu``: its CPU seconds; ``requests``: path and query of all that it received."""
        self._connection.send(what)
        return self._connection.recv()


@contextmanager
def served(latency: float) -> Iterator[Served]:
    """A sandbox whose answers take so many seconds."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=_serve, args=(theirs, latency))
    server.start()
    try:
        yield Served(ours)
    finally:
        ours.send("stop")
        server.join(10)


@contextmanager
def opened(sandbox: Served, folder: str, concurrency: int) -> Iterator[PipelineContext]:
    """A session with an empty archive, an empty warehouse, and a token already."""
    settings = load_settings(
        {
            **sandbox.environment,
            "DRILLSTER_ARCHIVE_URL": str(Path(folder) / "archive"),
            "DRILLSTER_WAREHOUSE_URL": f"sqlite:///{folder}/warehouse.sqlite",
            "DRILLSTER_CONCURRENCY": str(concurrency),
        }
    )
    with PipelineContext(settings=settings, now=lambda: MOMENT) as session:
        session.tokens.token()
        session.warehouse  # noqa: B018 - its tables exist on any run but the first
        yield session


def measure(sandbox: Served, latency: float, concurrency: int) -> dict[str, float]:
    """One capture into an empty archive."""
    under_way: list[float] = []
    send = Transport.send

    def timed(transport: Transport, *args: Any, **options: Any) -> RawResponse:
        began = time.perf_counter()
        try:
            return send(transport, *args, **options)
        finally:
            under_way.append(time.perf_counter() - began)

    with tempfile.TemporaryDirectory() as folder, opened(sandbox, folder, concurrency) as session:
        gc.collect()  # what came before is not on the bill of this capture
        server_cpu, cpu, started = sandbox.query("cpu"), time.process_time(), time.perf_counter()
        with patch.object(Transport, "send", timed):
            outcome = capture(session, "snapshot", session.newest_complete)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        server_cpu = sandbox.query("cpu") - server_cpu
    requests = outcome.capture.manifest["walk"]["requests"]
    return {
        "requests": requests,
        "seconds": seconds,
        "ratio": seconds / (requests * latency / concurrency),
        "cpu_ms_per_request": cpu / requests * 1000,
        "server_cpu_ms_per_request": server_cpu / requests * 1000,
        "utilisation": sum(under_way) / (concurrency * seconds),
    }


def series(latency: float, concurrency: int, runs: int) -> dict[str, float]:
    """Medians over several runs, but for the first, which warms the sandbox: its answers then cost it little."""
    with served(latency) as sandbox:
        found = [measure(sandbox, latency, concurrency) for _ in range(runs + 1)][1:]
    medians = {name: round(statistics.median(run[name] for run in found), 3) for name in found[0]}
    spread = [round(min(run["ratio"] for run in found), 3), round(max(run["ratio"] for run in found), 3)]
    return {"latency": latency, "concurrency": concurrency, **medians, "ratios": spread}


def capacity(connections: int) -> dict[str, float]:
    """How many of the requests of a capture the sandbox answers per second, without latency, to the barest client."""
    with served(0.0) as sandbox, tempfile.TemporaryDirectory() as folder, opened(sandbox, folder, 8) as session:
        capture(session, "snapshot", session.newest_complete)
        host = urlsplit(sandbox.environment["DRILLSTER_BASE_URL"])
        head = f"HTTP/1.1\r\nHost: {host.netloc}\r\nAccept-Encoding: gzip\r\nAuthorization: "
        head += f"Bearer {session.tokens.token().value}"
        received = [
            f"GET {path}?{query} {head}\r\n\r\n".encode()
            for path, query in sandbox.query("requests")
            if path.startswith("/api/")
        ]
        server_cpu, started = sandbox.query("cpu"), time.perf_counter()
        asyncio.run(_request_all(host.hostname or "", host.port or 80, received, connections))
        seconds, server_cpu = time.perf_counter() - started, sandbox.query("cpu") - server_cpu
    return {
        "sandbox_requests_per_second": round(len(received) / seconds),
        "sandbox_cpu_ms_per_request": round(server_cpu / len(received) * 1000, 3),
    }


async def _request_all(host: str, port: int, received: list[bytes], connections: int) -> None:
    pending = iter(received)

    async def query() -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for request in pending:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise SystemExit(f"The sandbox answers {head[:12].decode('latin-1')}.")
            await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        writer.close()

    await asyncio.gather(*(query() for _ in range(connections)))


def main() -> None:
    """Print medians as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(json.dumps(capacity(32)), flush=True)
    for latency, concurrency in SETTINGS:
        print(json.dumps(series(latency, concurrency, options.runs)), flush=True)


if __name__ == "__main__":
    main()
