"""Contenders measured in turns within one run, and the ratios between them.

A machine is quicker at one moment than at another, so contenders take turns, each round begins with another one, and a
ratio is taken within a round. What is reported is the median over the rounds, and the least and the most.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

Measures = dict[str, float]
OURS = "drillster-pipeline"


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the least and most of them."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A ratio, or a measure, that the summary shows, and perhaps what it must reach."""

    what: str
    contender: str
    measure: str
    over: str | None = None
    """The contender that the ratio is of; None: the measure itself."""
    at_most: float | None = None
    at_least: float | None = None

    def holds(self, found: float) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.at_most is None and self.at_least is None:
            return None
        return (self.at_most is None or found <= self.at_most) and (self.at_least is None or found >= self.at_least)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What some contenders took for the same work; ``reference`` is the one that the table's ratios are of."""

    title: str
    reference: str
    rounds: dict[str, list[Measures]]
    """Per contender what each round measured: ``seconds``, ``cpu_seconds`` and whatever else was measured."""
    claims: tuple[Claim, ...] = ()

    def spread(self, contender: str, measure: str) -> Spread | None:
        """Of a measure that every round of the contender has."""
        values = [one[measure] for one in self.rounds[contender] if measure in one]
        return Spread.of(values) if values else None

    def ratio(self, contender: str, measure: str, *, over: str | None = None) -> Spread | None:
        """How many times the other's measure (the reference's, unless named) this contender's is, round by round."""
        pairs = zip(self.rounds[contender], self.rounds[over or self.reference], strict=True)
        ratios = [
            one[measure] / other[measure] for one, other in pairs if measure in one and other.get(measure, 0.0) > 0.0
        ]
        return Spread.of(ratios) if ratios else None

    def of(self, claim: Claim) -> Spread | None:
        """What was measured of a claim."""
        if claim.over is None:
            return self.spread(claim.contender, claim.measure)
        return self.ratio(claim.contender, claim.measure, over=claim.over)

    def as_json(self) -> dict[str, Any]:
        """The form in the file of results."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Comparison:
        """The inverse of :meth:`as_json`."""
        return cls(**{**content, "claims": tuple(Claim(**claim) for claim in content["claims"])})


def alternate(
    title: str,
    contenders: Mapping[str, Callable[[], Measures]],
    *,
    rounds: int,
    reference: str = OURS,
    claims: Sequence[Claim] = (),
    say: Callable[[str], None] = print,
) -> Comparison:
    """Let the contenders take turns."""
    names = list(contenders)
    found: dict[str, list[Measures]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measures = contenders[name]()
            found[name].append(measures)
            say(f"  {title} · {name}: " + ", ".join(f"{key} {value:,.2f}" for key, value in measures.items()))
    return Comparison(title=title, reference=reference, rounds=found, claims=tuple(claims))
