"""What can be learned: the library of drills and courses, the tests, and the catalogs."""

from __future__ import annotations

from dataclasses import dataclass

from .calendar import FOREVER, FOUNDING
from .chance import between, fold, mix
from .ids import Ids, Kind, Reference
from .names import CATALOGS, DRILLABLES, TESTS
from .size import Size

_CONTENT, _CATALOG = 4, 5
_COURSE_SHARE = 4


@dataclass(frozen=True, slots=True)
class Playable:
    """A drill, a course or a test."""

    id: str
    type: str
    name: str
    index: int


class Content:
    """The library of one organization."""

    def __init__(self, size: Size, ids: Ids, seed: int) -> None:
        self._size = size
        self._ids = ids
        self._seed = fold(seed, _CONTENT)
        self._catalogs = fold(seed, _CATALOG)

    def drillable(self, index: int, moment: int = 0) -> Playable:
        """Drill or course ``index`` of the library, by the name that it has at the moment."""
        kind = Kind.COURSE if mix(self._seed ^ index) % _COURSE_SHARE == 0 else Kind.DRILL
        part, which = divmod(index, len(DRILLABLES))
        name = DRILLABLES[which] if part == 0 else f"{DRILLABLES[which]}, part {part + 1}"
        edition = self._edition(mix(self._seed ^ index), moment)
        return Playable(
            self._ids.make(kind, index), kind.name, f"{name} (edition {edition})" if edition else name, index
        )

    def _edition(self, key: int, moment: int) -> int:
        """How often a thing has been renamed."""
        if self._size.pace == 1 or not moment:
            return 0
        period = between(key >> 10, 100, 900) * self._size.day
        return max(0, moment - FOUNDING + key % period) // period

    def test(self, slot: int, number: int) -> Playable:
        """Test ``number`` of the group in a slot."""
        name = TESTS[(slot + number * 3) % len(TESTS)]
        round_ = slot // len(TESTS)
        return Playable(
            self._ids.make(Kind.TEST, slot, number), "TEST", name if not round_ else f"{name} #{round_ + 1}", number
        )

    def places(self, key: int, slots: int, moment: int) -> list[tuple[int, int]]:
        """The library's indices that fill ``slots`` places at the moment, each with the moment it makes way.

        Place ``s`` only ever takes indices that are ``s`` modulo ``slots``, so no index is in two places.
        """
        steps = self._size.library // max(1, slots)
        found = []
        for place in range(slots):
            bits = mix(key ^ mix(place))
            version, until = 0, FOREVER
            if not self._size.stable:
                period = between(bits >> 20, 240, 700) * self._size.day
                phase = (bits >> 8) % period
                version = max(0, moment - FOUNDING + phase) // period
                until = FOUNDING - phase + (version + 1) * period
            found.append((place + slots * ((bits + version) % steps), until))
        return found

    def changing(self, key: int, slots: int, moment: int) -> list[int]:
        """The library's indices that fill ``slots`` places at the moment: now and then one makes way for another."""
        return [index for index, _ in self.places(key, slots, moment)]

    def lasting(self, key: int, slots: int, moment: int) -> list[int]:
        """The same indices, those first that stay the longest."""
        return [index for index, _ in sorted(self.places(key, slots, moment), key=lambda place: -place[1])]

    def catalog_ids(self) -> list[str]:
        """Every catalog that there ever is, in order."""
        return [self._ids.make(Kind.CATALOG, number) for number in range(self._size.catalogs)]

    def catalogs(self, moment: int) -> list[int]:
        """The numbers of the catalogs that there are at the moment: at a quick pace, each is gone at times."""
        phase = 40 * self._size.day
        return [
            number
            for number in range(self._size.catalogs)
            if self._size.pace == 1 or (moment - FOUNDING) // phase % (3 + number) != number
        ]

    def catalog_name(self, number: int, moment: int = 0) -> tuple[str, str]:
        """Name and description, at the moment."""
        name, description = CATALOGS[number % len(CATALOGS)]
        edition = self._edition(mix(self._catalogs ^ number), moment)
        name = name if number < len(CATALOGS) else f"{name} {number // len(CATALOGS) + 1}"
        return f"{name} (edition {edition})" if edition else name, description

    def catalog_content(self, number: int, moment: int) -> list[Playable]:
        """The playables of a catalog, by name."""
        slots = min(self._size.playables_per_catalog, self._size.library)
        indices = self.changing(mix(self._catalogs ^ number), slots, moment)
        return sorted(
            (self.drillable(index, moment) for index in indices), key=lambda playable: (playable.name, playable.id)
        )

    def find(self, reference: Reference) -> Playable | None:
        """The drill or course that an id names; None where it names something else."""
        if reference.kind in (Kind.DRILL, Kind.COURSE) and reference.first < self._size.library:
            return self.drillable(reference.first)
        return None
