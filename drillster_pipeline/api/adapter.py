"""The HTTPAdapter of requests, for one host that is asked thousands of things.

HTTPAdapter works out for every request what is the same for all of them: which pool of connections the scheme, host,
trusted authorities and proxy lead to. It also makes a whole Response of every answer, with a jar of cookies, of which
the transport takes nothing but the answer of urllib3 inside. Together that is a quarter of the CPU time of a request,
and with many threads in one process it is CPU time that bounds how fast a walk can go.
"""

from __future__ import annotations

from typing import Any

import requests
from urllib3.connectionpool import ConnectionPool

from .watchdog import WatchedAdapter


class HostAdapter(WatchedAdapter):
    """An adapter for requests to ``origin`` (such as ``https://www.drillster.com/``), all by the same route.

    What it is asked otherwise (a redirect that spells the origin in another way) goes the ordinary way. Plain http
    must not go through a proxy: see :class:`~drillster_pipeline.api.transport.Transport`.
    """

    def __init__(self, origin: str, *, connections: int) -> None:
        super().__init__(pool_connections=1, pool_maxsize=connections)
        self._origin = origin
        self._pool: ConnectionPool | None = None

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> ConnectionPool:
        """The pool that ``send`` takes a connection from (called by HTTPAdapter)."""
        known = str(request.url).startswith(self._origin)
        if known and self._pool is not None:
            return self._pool
        try:
            pool = super().get_connection_with_tls_context(request, *args, **kwargs)
        except (TypeError, ValueError) as error:  # whatever it stumbles over in the address of a proxy
            raise requests.exceptions.InvalidProxyURL(error) from error
        if known:
            self._pool = pool
        return pool

    def request_url(self, request: requests.PreparedRequest, proxies: Any) -> str:  # noqa: ARG002 - HTTPAdapter's own
        """What stands in the request line (called by HTTPAdapter): never the whole URL, as no proxy reads it."""
        return request.path_url

    def build_response(self, req: requests.PreparedRequest, resp: Any) -> requests.Response:  # noqa: ARG002 - the same
        """An answer (called by HTTPAdapter) without the request, and so without the token that is in it."""
        response = requests.Response()
        response.status_code, response.raw = resp.status, resp
        return response
