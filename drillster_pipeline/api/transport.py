"""One request sent, and its complete response received: within a time, a size, and without anyone else's additions.

``requests`` is used at the level of its HTTPAdapter, which keeps the connections and is safe to share between
threads. A Session on top would add what must not happen here (an Authorization header from ~/.netrc, cookies,
redirects that are followed unasked) and would read the environment anew for every request, which doubles the CPU
time of each. Its two useful services are done here once: the proxy and the CA bundle that the environment names.

A read timeout alone does not end a response that comes in drips; so a watchdog aborts what takes too long, and
everything when the work is cancelled.
"""

from __future__ import annotations

import http.client
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import requests
import urllib3
from requests.utils import get_environ_proxies, select_proxy

from drillster_pipeline.errors import SettingsError

from .retry import CancelToken
from .watchdog import HostAdapter, Watchdog

_CHUNK = 2**20
_PROXY_VARIABLES = frozenset({"https_proxy", "all_proxy"})
_MOST_INFLATED = 1032
"""Bytes that one byte of gzip can hold at most (zlib's documentation, "Maximum Compression Factor")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long an exchange may take, and how large a response may be."""

    connect_seconds: float = 10.0
    read_seconds: float = 60.0
    """Longest silence while a response is awaited or read."""
    response_seconds: float = 180.0
    """Longest time for one complete response, however steadily it comes."""
    answer_bytes: int = 256 * 2**20
    """After decompression: many times the members of the largest organization in one response."""


class TransportError(Exception):
    """No complete response came. The message is one of a few fixed phrases: nothing of the request or the response."""


class ResponseTooLarge(TransportError):
    """The response is larger than what is kept in memory."""


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A complete response: its status, its headers (any case), and its body, decompressed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport:
    """Sends requests to the origin of ``base_url`` over kept connections, from any number of threads.

    The settings make sure that it is https, or http of a loopback address.
    """

    def __init__(self, base_url: str, *, connections: int = 1, limits: Limits | None = None) -> None:
        parts = urlsplit(base_url)
        self.host = parts.hostname or ""
        self._limits = limits or Limits()
        self._verify = _trusted_authorities()
        # Through a proxy, https is a tunnel that the proxy cannot read. Plain http would show it our token.
        self._proxy = select_proxy(base_url, get_environ_proxies(base_url)) if parts.scheme == "https" else None
        self.has_proxy = self._proxy is not None
        """Whether requests go through a proxy that the environment names for the base URL."""
        self._adapter = HostAdapter(connections=connections)
        self._watchdog = Watchdog(response_seconds=self._limits.response_seconds)

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], cancel: CancelToken, body: str | None = None
    ) -> RawResponse:
        """Send one request and read its response to the end.

        Raises TransportError where no complete response came (worth another attempt), ResponseTooLarge, SettingsError
        where none ever will (certificate, proxy), and Cancelled.
        """
        request = requests.PreparedRequest()
        request.method, request.url, request.body = method, url, body
        request.headers = headers  # type: ignore[assignment]  # only read from here on; any mapping will do
        cancel.check()
        exchange = self._watchdog.begin(cancel)
        # Made here and raised below: an exception of requests holds the request, and with it the token. Raised
        # outside the except clause, ours has neither a cause nor a context that leads there.
        failure: Exception | None = None
        try:
            received = self._exchange(request)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            failure = _failure(error, host=self.host, proxy=self._proxy)
        finally:
            self._watchdog.end(exchange)
        cancel.check()
        # Asked first: a head that is cut short looks like a complete one with fewer lines.
        if exchange.is_aborted:
            raise TransportError(f"no complete response within {self._limits.response_seconds:g} s")
        if failure is not None:
            raise failure
        return received

    def close(self) -> None:
        """Close the connections."""
        self._watchdog.close()
        self._adapter.close()

    def _exchange(self, request: requests.PreparedRequest) -> RawResponse:
        response = self._adapter.send(
            request,
            stream=True,
            timeout=(self._limits.connect_seconds, self._limits.read_seconds),
            verify=self._verify,
            proxies={"https": self._proxy} if self._proxy else {},
        )
        raw: urllib3.HTTPResponse = response.raw
        body = None
        try:
            body = self._read(raw)
        except (urllib3.exceptions.HTTPError, OSError):
            # The status of a refusal says enough; only a success needs its body.
            if 200 <= raw.status < 300:
                raise
        finally:
            if body is None:
                raw.close()
            else:
                raw.release_conn()
        return RawResponse(raw.status, raw.headers, body or b"")

    def _read(self, raw: urllib3.HTTPResponse) -> bytes:
        """The complete body, decompressed. Raises ResponseTooLarge."""
        length = raw.length_remaining
        is_bounded = raw.headers.get("Content-Encoding", "gzip") == "gzip"
        if length is not None and length * _MOST_INFLATED <= self._limits.answer_bytes and is_bounded:
            return raw.read(decode_content=True)  # in one go, which takes less CPU time
        chunks = []
        size = 0
        while chunk := raw.read(_CHUNK, decode_content=True):
            chunks.append(chunk)
            size += len(chunk)
            if size > self._limits.answer_bytes:
                raise ResponseTooLarge
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _trusted_authorities() -> str | bool:
    """Which certificate authorities to trust: those that the environment names (as requests reads it), or certifi's."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if path := os.environ.get(name):
            if not Path(path).exists():
                raise SettingsError(f"{name} names a file of certificate authorities that does not exist.")
            return path
    return True


def _unusable_proxy(host: str, proxy: str | None) -> SettingsError:
    names = [name for name, value in os.environ.items() if value == proxy and name.lower() in _PROXY_VARIABLES]
    where = f"in {names[0]}" if names else "of this system"  # macOS and Windows keep settings of their own
    return SettingsError(
        f"The proxy {where} cannot be used for {host}: put an address such as http://proxy.example.org:3128 there, "
        "with user and password where it asks for a login (socks proxies need the package PySocks), or add "
        f"{host} to NO_PROXY if it can be reached without."
    )


def _failure(error: BaseException, *, host: str, proxy: str | None) -> TransportError | SettingsError:
    """What an exception of requests, urllib3 or the socket comes to, in words of our own."""
    chain = tuple(_chain(error))
    if any(isinstance(link, ssl.SSLCertVerificationError) for link in chain):
        return SettingsError(
            f"The certificate of {host} is not trusted. If your network inspects https, put its certificate "
            "authority in a PEM file and name that in REQUESTS_CA_BUNDLE; otherwise check DRILLSTER_BASE_URL."
        )
    proxied = any(isinstance(link, (requests.exceptions.ProxyError, urllib3.exceptions.ProxyError)) for link in chain)
    # Our own address is well-formed (see settings.py): what is refused as none is the proxy's.
    unusable = proxy is not None and isinstance(
        error, (requests.exceptions.InvalidURL, urllib3.exceptions.LocationValueError)
    )
    if unusable or (proxied and any(" 407 " in str(link) for link in chain)):
        return _unusable_proxy(host, proxy)
    if proxied:
        return TransportError("no connection through the proxy")
    for kinds, reason in _REASONS:
        if any(isinstance(link, kinds) for link in chain):
            return TransportError(reason)
    return TransportError("connection lost")


_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((urllib3.exceptions.NameResolutionError,), "host name not found"),
    # Before the one below, of which urllib3 makes it a kind.
    ((urllib3.exceptions.NewConnectionError,), "no connection"),
    ((urllib3.exceptions.ConnectTimeoutError,), "no connection in time"),
    ((urllib3.exceptions.ReadTimeoutError, TimeoutError), "no response in time"),
    ((urllib3.exceptions.IncompleteRead, http.client.IncompleteRead), "response cut short"),
    ((urllib3.exceptions.DecodeError,), "response with broken compression"),
    ((ssl.SSLError,), "encryption failed"),
)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception and everything it was made from: urllib3 keeps the origin in ``reason``, requests in ``args``."""
    pending, seen = [error], set()
    while pending:
        link = pending.pop()
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        origins = (link.__cause__, link.__context__, getattr(link, "reason", None), *link.args)
        pending.extend(origin for origin in origins if isinstance(origin, BaseException))
