"""What a date comes to: figures that a load computes from the rows of other tables, and that stay when those go.

``source`` of a figure is the column that it is computed from. A load writes the figures of the tables that it loads;
those of others stay as they are.
"""

from __future__ import annotations

from .schema import EXPORT_DATE, Column, Type, daily, integer, key, percentage

_NULL = "A figure is NULL where the date has no row that it is computed from. Figures stay when `prune` removes rows."

_FIGURES = (
    integer("member_count", "Members (status MEMBER) whom the date showed.", source="group_members.member_key"),
    integer("learner_count", "Learners with at least one result.", source="results.account_id"),
    integer("learners_practiced", "Learners who practiced since the date began.", source="results.last_practiced_at"),
    integer(
        "learners_practicing_7_days",
        "Learners who practiced in the seven days of 24 hours up to the end of the date.",
        source="results.last_practiced_at",
    ),
    integer(
        "learners_idle_30_days",
        "Learners with no practice in the thirty days of 24 hours up to the end of the date, or none ever.",
        source="results.last_practiced_at",
    ),
    integer("learners_never_practiced", "Those of them who never practiced.", source="results.last_practiced_at"),
    integer("result_count", "Results that have a proficiency.", source="results.proficiency"),
    Column(
        Type.FLOAT,
        "average_proficiency",
        "Average overall proficiency of these results, 0-100.",
        source="results.proficiency",
        minimum=0,
        maximum=100,
    ),
    Column(
        Type.FLOAT,
        "proficiency_deviation",
        "Standard deviation of the overall proficiency of these results.",
        source="results.proficiency",
        minimum=0,
    ),
    integer("tests_completed", "Attempts at tests that ended on the date.", source="test_results.completed_at"),
    integer("tests_passed", "Those of them that were passed.", source="test_results.passed"),
)

GROUP_DAILY = daily(
    "group_daily",
    f"Per date and group: members, who practices, proficiency, tests. {_NULL}",
    EXPORT_DATE,
    key("group_id", "The group.", references="groups.group_id"),
    *_FIGURES,
)

ORGANIZATION_DAILY = daily(
    "organization_daily",
    "Per date, the figures of group_daily for all groups together: a person in several groups counts once, a result "
    f"that several groups show counts for each. {_NULL}",
    EXPORT_DATE,
    *_FIGURES,
)

GROUP_OBJECTIVE_DAILY = daily(
    "group_objective_daily",
    "Per date, group and objective: who met it, and who is overdue. Figures stay when `prune` removes rows.",
    EXPORT_DATE,
    key("group_id", "The group.", references="groups.group_id"),
    key("objective_id", "The objective.", references="objectives.objective_id"),
    integer(
        "evaluated",
        "Members of whom Drillster said whether they met it.",
        nullable=False,
        source="objective_evaluations.met",
    ),
    integer("met", "Members who met it.", nullable=False, source="objective_evaluations.met"),
    integer(
        "overdue",
        "Members who had not met it, and whose review was due before the date began.",
        nullable=False,
        source="objective_evaluations.review_at",
    ),
    percentage(
        "minimum_proficiency",
        "The norm that day; where members had different ones, the highest.",
        source="objective_evaluations.minimum_proficiency",
    ),
)
