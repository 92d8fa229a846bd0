"""The part of Kubernetes' API that Dagster uses for the steps of a run, on a real socket.

A job is one process of this machine, which gets the arguments and the environment of the job's container. What a
cluster does beside that (images, volumes, secrets, scheduling, limits) is not here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

_HEADER = {"apiVersion": "batch/v1", "kind": "Job"}


@dataclass
class KubernetesApi:
    """The jobs of one namespace, the oldest first."""

    folder: Path
    environment: Mapping[str, str]
    """Of every container, as a secret gives it."""
    port: int = 0
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def kubeconfig(self) -> Path:
        """A file that names it."""
        path = self.folder / "kubeconfig"
        cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "test", "context": {"cluster": "test", "user": "test"}}
        users = [{"name": "test", "user": {}}]
        config = {"clusters": [cluster], "contexts": [context], "users": users, "current-context": "test"}
        path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **config}))
        return path

    def create(self, job: dict[str, Any]) -> dict[str, Any]:
        """Start the container of a job."""
        (container,) = job["spec"]["template"]["spec"]["containers"]
        name = job["metadata"]["name"]
        home = self.folder / name
        (home / "tmp").mkdir(parents=True)
        given = {each["name"]: each["value"] for each in container.get("env", []) if "value" in each}
        program = [str(Path(sys.executable).parent / container["args"][0]), *container["args"][1:]]
        with (home / "log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                program,
                cwd=home,
                env={**self.environment, **given, "HOME": str(home), "TMPDIR": str(home / "tmp")},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.jobs[name] = job
        return self.read(name)

    def read(self, name: str) -> dict[str, Any]:
        """A job with its status. KeyError if there is none."""
        code = self.processes[name].poll()
        outcome = "active" if code is None else "succeeded" if code == 0 else "failed"
        return {**_HEADER, **self.jobs[name], "status": {outcome: 1}}

    def delete(self, name: str) -> dict[str, Any]:
        """Kill its process."""
        if self.processes[name].poll() is None:
            os.killpg(self.processes[name].pid, signal.SIGKILL)
        self.processes[name].wait()
        return {"apiVersion": "v1", "kind": "Status", "status": "Success"}


@contextmanager
def kubernetes_api(folder: Path, environment: Mapping[str, str]) -> Iterator[KubernetesApi]:
    """Serve it until the end; then no process is left."""
    api = KubernetesApi(folder, environment)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self, respond: Callable[[], dict[str, Any]]) -> None:
            try:
                status, body = 200, respond()
            except KeyError:
                status, body = 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_GET(self) -> None:
            parts = self.path.partition("?")[0].strip("/").removesuffix("/status").split("/")
            self.answer(lambda: api.read(parts[-1]) if parts[-2] == "jobs" else {"kind": "List", "items": []})

        def do_POST(self) -> None:
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.answer(lambda: api.create(job))

        def do_DELETE(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.answer(lambda: api.delete(self.path.partition("?")[0].split("/")[-1]))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
            for name in api.jobs:
                api.delete(name)
