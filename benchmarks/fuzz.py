"""Answers that are wrong in any way, by the thousand: each ends in a typed error or in a published night.

The same examples as in ``tests/fuzz``, but many more, and others each time. A seed makes a run repeatable; what fails
is made as small as it can be and shown.

    python benchmarks/fuzz.py --examples 2000 --seed 1
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from tests.fuzz.forms import Forms, forms
from tests.fuzz.mutations import Mutation, mutations
from tests.fuzz.nights import House, Night, houses
from tests.fuzz.test_forms import check_form
from tests.fuzz.test_mutations import check_night, check_second_night
from tests.fuzz.truth import make_truth


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--examples", type=int, default=200, help="of each of the three properties")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    given_ = parser.parse_args()
    print(f"seed {given_.seed}")
    often = settings(
        max_examples=given_.examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    with tempfile.TemporaryDirectory() as folder, houses(Path(folder)) as new_house:
        for run in (_forms(new_house), _mutations(new_house, check_night), _mutations(new_house, check_second_night)):
            started, told = time.process_time(), run.told
            seed(given_.seed)(often(run.example))()
            took = time.process_time() - started
            print(f"{run.name}: {told.total()} nights in {took:.0f} s of processor; {dict(told.most_common())}")


class _Run:
    """A property with all its examples, and what became of them."""

    def __init__(self, name: str, example: Callable[[], None], told: Counter[str]) -> None:
        self.name, self.example, self.told = name, example, told


def _forms(new_house: Callable[[], House]) -> _Run:
    told: Counter[str] = Counter()

    @given(number=st.integers(0, 1_000_000), odd=st.booleans(), form=forms)
    def example(number: int, odd: bool, form: Forms) -> None:
        house = new_house()
        check_form(house, make_truth(number, odd=odd), form)
        told["published whole"] += 1
        shutil.rmtree(house.folder)

    return _Run("documented forms", example, told)


def _mutations(new_house: Callable[[], House], checked: Callable[..., Night]) -> _Run:
    told: Counter[str] = Counter()

    @given(number=st.integers(0, 1_000_000), odd=st.booleans(), form=forms, changes=mutations)
    def example(number: int, odd: bool, form: Forms, changes: Sequence[Mutation]) -> None:
        house = new_house()
        night = checked(house, make_truth(number, odd=odd), form, changes)
        told.update(type(error).__name__ for error in night.errors.values())
        told.update("published" for _ in night.outcomes)
        shutil.rmtree(house.folder)

    return _Run(checked.__name__, example, told)


if __name__ == "__main__":
    main()
