"""A time-stamping authority of RFC 3161: OpenSSL's, behind a small HTTP server."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

_CONFIG = """
[ tsa ]
default_tsa = own
[ own ]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
crypto_device = builtin
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
accuracy = secs:1
ess_cert_id_alg = sha256
"""
_EXTENSIONS = "extendedKeyUsage = critical, timeStamping\nkeyUsage = critical, digitalSignature\n"


class Authority:
    """``url`` answers; ``certificate`` is the file by which its stamps are proven."""

    def __init__(self, folder: Path, name: str = "Authority", *, unsorted: bool = False) -> None:
        """``unsorted``: its certificates come with a stamp, the longer one first: not in the order of DER."""
        folder.mkdir()
        self.folder, self.certificate = folder, folder / "ca.pem"
        self.status = 200
        """What it answers with; another than 200 has no stamp."""
        self.answer: bytes | None = None
        """What it answers instead of a stamp."""
        self.change: Callable[[bytes], bytes] = bytes
        """What becomes of an answer on its way."""
        self.headers: Mapping[str, str] = {}
        self.requests = 0
        self.url = ""
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        self._openssl("req", "-x509", *curve, "-subj", f"/CN={name} root", "-keyout", "ca.key", "-out", "ca.pem")
        self._openssl("req", *curve, "-subj", f"/CN={name}/O={'x' * 60}", "-keyout", "tsa.key", "-out", "tsa.csr")
        (folder / "extensions").write_text(_EXTENSIONS)
        more = f"certs = {folder}/ca.pem\n" if unsorted else ""
        (folder / "config").write_text(_CONFIG.format(folder=folder) + more)
        (folder / "serial").write_text("01\n")
        self._sign(days=2)

    def expire(self) -> None:
        """Go on with a certificate that has expired."""
        self._sign(days=0)
        time.sleep(1.1)  # it is valid until this second

    def _sign(self, *, days: int) -> None:
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "extensions")
        self._openssl("x509", "-req", "-in", "tsa.csr", *signed, "-days", str(days), "-out", "tsa.pem")

    def stamp(self, query: bytes) -> bytes:
        """The response to a request."""
        (self.folder / "query").write_bytes(query)
        self._openssl("ts", "-reply", "-config", "config", "-queryfile", "query", "-out", "reply")
        return (self.folder / "reply").read_bytes()

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=self.folder)


@contextmanager
def authority(folder: Path, *, unsorted: bool = False) -> Iterator[Authority]:
    """An authority that answers at a port of this machine."""
    made = Authority(folder, unsorted=unsorted)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.requests += 1
            query = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.headers["Content-Type"] == "application/timestamp-query"
            self.send_response(made.status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if made.status == 200:
                self.wfile.write(made.change(made.stamp(query) if made.answer is None else made.answer))

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_port}/tsr?key=secret"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
