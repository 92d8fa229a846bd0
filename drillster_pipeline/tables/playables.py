"""Playables: drills, courses and tests, wherever one is met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drillster_pipeline.extract.merged import Merged
from drillster_pipeline.extract.values import identity, misfit, upper

from .schema import PLAYABLE_TYPES, Kind, Table, key, text

PLAYABLES = Table(
    name="playables",
    kind=Kind.ENTITY,
    description=(
        "Every drill, course and test met anywhere: in groups, catalogs, objectives, results and tests. A type "
        "that Drillster names somewhere wins over one that is only assumed from where the playable was met."
    ),
    key=("playable_id",),
    sources=("group_drillables",),
    secondary_sources=("catalog_content", "groups", "objectives", "results", "test_results"),
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
    """What is known of each playable: its type as an answer gives it, its type as assumed, and its name."""

    def __init__(self) -> None:
        self.known = Merged()
        self.complete: set[str] = set()
        """Those of which earlier resources gave type and name: the many results need not give them again."""

    def settle(self) -> None:
        """A resource is read: what it made complete, those that follow do not change."""
        self.complete = {row[0] for row in self.known.rows() if type(row[1]) is str and type(row[3]) is str}

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
            self.known.add(playable_id, _text(upper(playable.get("type"))), assumed, _text(playable.get("name")))

    def type_of(self, playable_id: str) -> Any:
        """The type that an answer gives, else the one assumed; None where neither is known."""
        given, assumed, _ = self.known.get(playable_id, 3)
        return assumed if given is None else given

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """A row for each that was met."""
        for playable_id, _, _, name in self.known.rows():
            yield playable_id, self.type_of(playable_id), name


def _text(value: Any) -> Any:
    return value if value is None or type(value) is str else misfit("text", value)
