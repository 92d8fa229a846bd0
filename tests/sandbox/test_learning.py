from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from drillster_pipeline.sandbox.calendar import DAY, FOUNDING, horizon_of
from drillster_pipeline.sandbox.learning import Knowledge, Learning
from tests.conftest import examples

from .test_people import person

LEARNING = Learning(7)
PEOPLE = st.builds(person, st.just(7), st.integers(0, 5000))
DRILLS = st.integers(0, 47)
MOMENTS = st.integers(FOUNDING, FOUNDING + 1000 * DAY)


def measure(knowledge: Knowledge) -> tuple[int, ...]:
    return knowledge.proficiency, knowledge.highest, knowledge.eventual


@settings(max_examples=examples(200))
@given(PEOPLE, DRILLS, MOMENTS)
def test_the_measures_agree_with_each_other(someone, drill: int, moment: int) -> None:
    known = LEARNING.knowledge(someone, drill, moment)
    assert 0 <= known.eventual <= known.proficiency <= known.highest <= 100
    assert known.seconds >= 0
    assert 0 <= known.expected_seconds <= 5400
    if known.last is None:
        assert measure(known) == (0, 0, 0)
        assert known.seconds == 0
    else:
        assert known.added is not None
        assert known.added <= known.last <= moment
        assert known.last < someone.left
        assert known.seconds > 0


@settings(max_examples=examples(200))
@given(PEOPLE, DRILLS, MOMENTS, st.integers(1, 200 * DAY))
def test_knowledge_fades_until_the_next_practice_lifts_it(someone, drill: int, moment: int, later: int) -> None:
    before = LEARNING.knowledge(someone, drill, moment)
    after = LEARNING.knowledge(someone, drill, moment + later)
    assert after.seconds >= before.seconds
    assert after.highest >= before.highest
    if after.last == before.last:
        assert after.proficiency <= before.proficiency
        assert after.eventual == before.eventual
    else:
        assert after.seconds > before.seconds
        just_before = LEARNING.knowledge(someone, drill, after.last - 1)
        right_after = LEARNING.knowledge(someone, drill, after.last)
        assert right_after.proficiency > just_before.proficiency


@given(PEOPLE, DRILLS)
def test_each_practice_builds_on_what_was_left_of_the_one_before(someone, drill: int) -> None:
    practices = LEARNING.practices(someone, drill, FOUNDING + 1000 * DAY)
    gains = {
        round((practices.level[which] - before) / (1 - before), 9)
        for which in range(len(practices.at))
        if practices.level[which] < 0.99
        for before in [practices.level_at(which - 1, practices.at[which])]
    }
    assert len(gains) <= 1, "the same share of what was not known is learned every time"


@given(PEOPLE, DRILLS, MOMENTS)
def test_looking_further_ahead_changes_nothing_before(someone, drill: int, moment: int) -> None:
    near = LEARNING._practices(someone, drill, horizon_of(moment))
    far = LEARNING._practices(someone, drill, horizon_of(moment) + 1000 * DAY)
    assert far.at[: len(near.at)] == near.at
    assert far.level[: len(near.at)] == near.level
    assert all(at >= horizon_of(moment) for at in far.at[len(near.at) :])


@settings(max_examples=examples(200))
@given(PEOPLE, DRILLS, MOMENTS, st.integers(30, 90))
def test_the_moment_of_falling_below_a_norm_is_exact(someone, drill: int, moment: int, norm: int) -> None:
    practices = LEARNING.practices(someone, drill, horizon_of(moment))
    which = practices.latest(moment)
    falls = practices.falls_below(which, norm / 100)
    if which < 0 or practices.level[which] < norm / 100:
        assert falls == float("-inf")
    elif falls == float("inf"):
        assert practices.level_at(which, practices.at[which] + 100_000 * DAY) >= norm / 100 - 1e-9
    else:
        assert practices.level_at(which, int(falls) - 1000) >= norm / 100
        assert practices.level_at(which, int(falls) + 1000) < norm / 100


def test_memory_grows_with_practice() -> None:
    """Of many people, half of the first practice is lost sooner than half of the tenth."""
    found = [LEARNING.practices(person(7, number), 3, FOUNDING + 1000 * DAY) for number in range(300)]
    long = [practices for practices in found if len(practices.at) >= 10]
    assert len(long) > 50
    assert all(practices.stability[0] < practices.stability[9] for practices in long)
    assert any(len(practices.at) == 0 for practices in found), "some never practice"
