"""Asking for a unit: which of an endpoint's addresses works, and how large a page may be."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from drillster_pipeline import resources as api
from drillster_pipeline.api.paging import PAGE_SIZES, SMALLEST_PAGE
from drillster_pipeline.errors import NotFound, RequestRefused
from drillster_pipeline.resources import Endpoint, Path

from .units import Unit

if TYPE_CHECKING:
    from drillster_pipeline.dates import Window

    from .client import Client, JsonResponse


class EndpointClient:
    """Remembers, for all threads of a walk, what each endpoint has taught so far."""

    def __init__(self, client: Client, *, organization_id: str, window: Window | None = None) -> None:
        self._client = client
        self._organization_id = organization_id
        self._window = window
        """Of the events that are asked for."""
        self._lock = threading.Lock()
        self._sizes: dict[str, tuple[int | None, ...]] = {}
        """Per path template, the sizes that are left to ask for; None: Drillster's own default."""
        self._settled: dict[str, Path] = {}
        """Per path template, the path that has answered."""

    def page(self, unit: Unit, query: Mapping[str, str | int], *, size: int | None = None) -> tuple[JsonResponse, int]:
        """A page of a list, and the size that it was asked for with: ``size`` if that is granted.

        A size that is refused, while a smaller one is not, is not asked for again. Raises what :meth:`Client.get`
        raises.
        """
        if size is not None:
            try:
                return self.ask(unit, {**query, "resultSize": size}), size
            except RequestRefused as refusal:
                if not _may_be_the_size(refusal):
                    raise
        path = unit.endpoint.path
        sizes = self._sizes.get(path, (*PAGE_SIZES, None))
        refused: RequestRefused | None = None
        for number, each in enumerate(sizes):
            try:
                answer = self.ask(unit, query if each is None else {**query, "resultSize": each})
            except RequestRefused as refusal:
                if not _may_be_the_size(refusal):
                    raise
                refused = refused or refusal
                continue
            if refused is not None:
                with self._lock:
                    self._sizes[path] = min(sizes[number:], self._sizes.get(path, sizes), key=len)
            return answer, each or SMALLEST_PAGE
        assert refused is not None
        raise refused

    def place(self, endpoint: Endpoint) -> Path | None:
        """Which of an endpoint's addresses has answered; None where none has."""
        return self._settled.get(endpoint.path)

    def ask(self, unit: Unit, query: Mapping[str, str | int]) -> JsonResponse:
        """One answer, from the endpoint's place that works. Raises what :meth:`Client.get` raises."""
        endpoint = unit.endpoint
        params = {"organization_id": self._organization_id, **unit.params}
        if endpoint is api.OBJECTIVE_EVENTS and self._window is not None:
            query = {
                **query,
                "fromDate": self._window.start.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "toDate": self._window.end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        places = endpoint.paths
        if endpoint is api.ORGANIZATION and self._organization_id != "self":
            places = (Path("organization/{organization_id}"),)
        key = places[0].path
        if (settled := self._settled.get(key)) is not None:
            places = (settled,)
        for place in places[:-1]:
            try:
                return self._get(key, place, params, query)
            except NotFound:
                continue
        return self._get(key, places[-1], params, query)

    def _get(self, key: str, place: Path, params: Mapping[str, str], query: Mapping[str, str | int]) -> JsonResponse:
        answer = self._client.get(place.path, params, query, version=place.version)
        with self._lock:
            self._settled.setdefault(key, place)
        return answer


def _may_be_the_size(refusal: RequestRefused) -> bool:
    """Whether a smaller page might be granted: Drillster says so, or a 400 says nothing at all."""
    return refusal.error_id == "invalid_result_size" or (refusal.status == 400 and refusal.error_id is None)
