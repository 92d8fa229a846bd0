from __future__ import annotations

from drillster_pipeline.api.metrics import Metrics, Progress


def test_progress_is_shown_in_words() -> None:
    metrics, now = Metrics(lambda: 0), [0.0]
    progress = Progress(metrics, lambda: 1700, lambda: now[0])
    progress.groups_named(12)
    progress.group_listed(1200)
    now[0] = 75.0
    assert str(progress) == ("1 of 12 groups, 0 of 1,200 members; 0 requests (0/s, 0 retried) in 1 min 15 s")
    for _ in range(340):
        progress.opened("g", member=True)
        progress.finished("g", member=True)
    progress.opened("g")
    progress.finished(None)
    metrics.add(requests=2500, retries=3)
    now[0] = 75.0
    assert str(progress) == (
        "0 of 12 groups, 340 of 1,200 members; 2,500 requests (33/s, 3 retried) in 1 min 15 s, about 9 min 35 s left"
    )


def test_more_members_than_the_counts_of_the_groups_are_known_when_they_are_listed() -> None:
    progress = Progress(Metrics(lambda: 0), lambda: 0)
    progress.group_listed(40)
    progress.group_listed(None)
    assert "of 40 members" in str(progress)
    for _ in range(50):
        progress.opened("g", member=True)
    assert "of 50 members" in str(progress)
