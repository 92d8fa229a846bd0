"""Playables: drills, courses and tests, wherever one is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .columns import PLAYABLE_TYPES, key, text
from .schema import Kind, Table
from .values import identity, upper

PLAYABLES = Table(
    name="playables",
    kind=Kind.ENTITY,
    description=(
        "Every drill, course and test met anywhere: in groups, catalogs, objectives, results and tests. A type "
        "that Drillster names somewhere wins over one that is only assumed from where the playable was met."
    ),
    key=("playable_id",),
    sources=("group_drillables",),
    mentions=("catalog_content", "groups", "objectives", "results", "test_results"),
    columns=(
        key(
            "playable_id",
            "Drillster's id of the drill, course or test.",
            source="group_drillables: drillables[].id",
        ),
        text("type", "Kind of playable.", source="group_drillables: drillables[].type", values=PLAYABLE_TYPES),
        text("name", "Name.", source="group_drillables: drillables[].name", prose=True),
    ),
)


class Playables:
    """What is known of each playable; the first to say something of it is believed."""

    def __init__(self) -> None:
        self.complete: set[str] = set()
        """Those of which type and name are known: the many results need not tell them again."""
        self._said: dict[str, Any] = {}
        self._assumed: dict[str, str | None] = {}
        self._names: dict[str, Any] = {}

    def meet(self, playable: dict[str, Any], assumed: str | None) -> Any:
        """Note a playable, and the drills that it holds; returns its id.

        ``assumed`` is its type as far as the place where it was met says; ``type`` of the object itself wins.
        """
        playable_id = identity(playable.get("id"))
        self.name(playable_id, playable, assumed)
        drills = playable.get("drills")
        if type(drills) is list:
            for drill in drills:
                if type(drill) is dict:
                    self.name(identity(drill.get("id")), drill, "DRILL")
        return playable_id

    def name(self, playable_id: Any, playable: dict[str, Any], assumed: str | None) -> None:
        """Note a playable whose id is known from elsewhere, such as the path."""
        if type(playable_id) is str and playable_id not in self.complete:
            self._note(playable_id, upper(playable.get("type")), assumed, playable.get("name"))

    def _note(self, playable_id: str, said: Any, assumed: str | None, name: Any) -> None:
        if type(self._said.get(playable_id)) is not str:
            self._said[playable_id] = said if said is not None else self._said.get(playable_id)
        if self._assumed.get(playable_id) is None:
            self._assumed[playable_id] = assumed
        if type(self._names.get(playable_id)) is not str:
            self._names[playable_id] = name if name is not None else self._names.get(playable_id)
        if type(self._said[playable_id]) is str and type(self._names[playable_id]) is str:
            self.complete.add(playable_id)

    def type_of(self, playable_id: str) -> Any:
        """The type that was said anywhere, else the one assumed first; None where neither is known."""
        said = self._said.get(playable_id)
        return self._assumed.get(playable_id) if said is None else said

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row for each that was met."""
        for playable_id in self._said:
            yield playable_id, self.type_of(playable_id), self._names[playable_id]
