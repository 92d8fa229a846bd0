"""Views of objectives and who meets them."""

from __future__ import annotations

from datetime import date
from typing import Any

import sqlalchemy as sa

from drillster_pipeline.warehouse.expressions import days_begun, ratio, sorted_text
from drillster_pipeline.warehouse.model import Tables

from .declaration import ACCOUNT, DATE, GROUP, NEWEST, OBJECTIVE, VIEWS, labelled, newest_date, view, with_names
from .loads import date_bounds


@view(
    "Per export date, group and objective: how many members were evaluated, and how many met it.",
    {
        **DATE,
        **GROUP,
        **OBJECTIVE,
        "evaluated": "Members of whom Drillster said whether they met it.",
        "met": "Members who met it.",
        "met_percentage": "Share of the evaluated who met it, 0-100; NULL where nobody was evaluated.",
    },
)
def group_compliance(tables: Tables) -> sa.Select[Any]:
    """One row per date, group and objective."""
    daily = tables("group_objective_daily")
    names, joined = with_names(tables, daily, "groups", "objectives")
    evaluated, met = daily.c.evaluated, daily.c.met
    percentage = ratio(met * 100, evaluated).label("met_percentage")
    return sa.select(*labelled(names), evaluated, met, percentage).select_from(joined)


@view(
    "Who has not met which objective on the newest export date, though its review was due before that date began in "
    "its time zone (loads.date_begins_at).",
    {
        **NEWEST,
        **GROUP,
        **OBJECTIVE,
        **ACCOUNT,
        "proficiency": "Proficiency over the objective's content that day, 0-100.",
        "minimum_proficiency": "The norm that day, 0-100.",
        "review_at": "The review date that holds for this person.",
        "days_overdue": "Days of 24 hours begun from the review to the beginning of the export date, 1 or more.",
    },
)
def overdue_objectives(tables: Tables, export_date: date | None = None) -> sa.Select[Any]:
    """Evaluations of a date, the newest one by default, that are not met and whose review was due before it began."""
    evaluations = tables("objective_evaluations")
    names, joined = with_names(tables, evaluations, "groups", "objectives", "accounts")
    of_date: Any = export_date or newest_date(tables, "objective_evaluations")
    bounds = date_bounds(tables).where(tables("loads").c.export_date == of_date).subquery("bounds")
    begins_at = sa.select(bounds.c.begins_at).scalar_subquery()
    more = {name: evaluations.c[name] for name in ("proficiency", "minimum_proficiency", "review_at")}
    overdue = {"days_overdue": days_begun(begins_at, evaluations.c.review_at)}
    return (
        sa.select(*labelled(names | more | overdue))
        .select_from(joined)
        .where(
            evaluations.c.export_date == of_date, evaluations.c.met.is_(sa.false()), evaluations.c.review_at < begins_at
        )
    )


@view(
    "Who is to meet which objective: a row per member of a group and objective of the group, of those that are there "
    "now, with the evaluation of the newest export date. Invitees without an account are not among them.",
    {
        **GROUP,
        "managers": "Names of who manages the group, sorted, with commas between; NULL: nobody has a name here.",
        **ACCOUNT,
        "external_ids": "Keys of the person in other systems, such as 'AFAS:1234', sorted, with commas between.",
        "joined_at": "When the person joined the group.",
        **OBJECTIVE,
        "export_date": "The newest export date of which evaluations were published; NULL: it has none of this.",
        "met": "Whether the objective was met that day.",
        "proficiency": "Proficiency over the objective's content that day, 0-100.",
        "minimum_proficiency": "The norm that day, 0-100.",
        "evaluated_at": "When Drillster evaluated it.",
        "review_at": "The review date that holds for this person.",
    },
)
def enrollments(tables: Tables) -> sa.Select[Any]:
    """One row per member, group and objective."""
    members, objectives, evaluations = map(tables, ("group_members", "objectives", "objective_evaluations"))
    groups, accounts, keys, staff = map(tables, ("groups", "accounts", "account_external_ids", "group_staff"))
    managers, named = accounts.alias("managers"), keys.c.third_party + ":" + keys.c.external_id
    columns = {
        "group_id": members.c.group_id,
        "group_name": groups.c.name,
        "managers": sa.select(sorted_text(sa.func.nullif(managers.c.name, "")))
        .join_from(staff, managers, managers.c.account_id == staff.c.account_id)
        .where(staff.c.group_id == members.c.group_id, staff.c.permission == "MANAGE", staff.c.deleted_on.is_(None))
        .limit(1)
        .scalar_subquery(),
        "account_id": members.c.account_id,
        "account_name": accounts.c.name,
        "external_ids": sa.select(sorted_text(named))
        .where(keys.c.account_id == members.c.account_id, keys.c.deleted_on.is_(None))
        .limit(1)
        .scalar_subquery(),
        "joined_at": members.c.joined_at,
        "objective_id": objectives.c.objective_id,
        "objective_name": objectives.c.name,
        "objective_type": objectives.c.type,
    }
    evaluation = (name for name in VIEWS["enrollments"].columns if name not in columns)
    of_member = sa.and_(
        evaluations.c.export_date == newest_date(tables, "objective_evaluations"),
        evaluations.c.objective_id == objectives.c.objective_id,
        evaluations.c.account_id == members.c.account_id,
    )
    return (
        sa.select(*labelled(columns), *(evaluations.c[name] for name in evaluation))
        .join_from(members, groups, groups.c.group_id == members.c.group_id)
        .join(accounts, accounts.c.account_id == members.c.account_id)
        .join(objectives, objectives.c.group_id == members.c.group_id)
        .join(evaluations, of_member, isouter=True)
        .where(members.c.deleted_on.is_(None), objectives.c.deleted_on.is_(None))
    )
