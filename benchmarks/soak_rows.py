"""The rows of a capture, straight from the sandbox's organization: column by column, by the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.drillster import Organization

from .soak_days import Conditions
from .soak_shown import Row, Shown, TablePreviews, dated, invitee_key, keyed, moment_of, strangers

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def shown_by_snapshot(organization: Organization, on: date, moment: datetime, conditions: Conditions) -> Shown:
    """What a snapshot of that moment shows."""
    view = TablePreviews(organization, moment, conditions)
    shown = Shown(on=on, kind="snapshot", moment=moment)
    shown.seen = {
        "organizations": keyed("organizations", [organization_row(view.at.organization())]),
        "playables": keyed("playables", map(playable_row, playables(view))),
        "catalogs": keyed("catalogs", catalog_rows(view)),
        "catalog_playables": keyed(
            "catalog_playables",
            (
                {"catalog_id": catalog.id, "playable_id": thing.id, "type": thing.type}
                for catalog in (view.catalogs if "catalog_content" not in view.unavailable else [])
                for thing in view.playables_of(catalog)
            ),
        ),
        "groups": keyed("groups", (group_row(view, group) for group in view.groups)),
        "group_members": keyed("group_members", _fitting(shown, "group_members", member_rows(view))),
        "group_staff": keyed(
            "group_staff",
            (
                {"group_id": group.id, "account_id": item["user"]["id"], "permission": item["permission"]}
                for group in view.inside("group_staff")
                for item in view.at.group_staff(group)
            ),
        ),
        "group_playables": keyed(
            "group_playables",
            (
                {"group_id": group.id, "playable_id": thing.id, "type": thing.type}
                for group in view.inside("group_drillables")
                for thing in (*view.at.drillables(group), *group.tests)
            ),
        ),
        "objectives": keyed("objectives", _fitting(shown, "objectives", objective_rows(view))),
        "objective_playables": keyed(
            "objective_playables",
            (
                {"objective_id": objective.id, "playable_id": thing.id}
                for group in view.inside("objectives")
                for objective in view.objectives(group)
                for thing in view.at.playables(objective)
            ),
        ),
        "objective_evaluations": keyed("objective_evaluations", evaluation_rows(view, on)),
        "results": keyed("results", result_rows(view, on)),
    }
    _tests(shown, view)
    _people(shown, view)
    dated(shown, view)
    return shown


def shown_by_events(
    organization: Organization, on: date, moment: datetime, conditions: Conditions, objectives: set[str]
) -> Shown:
    """What the events of a date say, requested at that moment; ``objectives`` are those that were requested."""
    view = TablePreviews(organization, moment, conditions)
    shown = Shown(on=on, kind="events", moment=moment, loaded={"objective_events", "accounts"})
    start, end = (datetime.combine(on + timedelta(days=days), datetime.min.time(), AMSTERDAM) for days in (-1, 1))
    since, until = (int(each.timestamp()) * 1000 for each in (start, end))
    rows: list[Row] = []
    named: dict[str, Row] = {}
    for id_ in sorted(objectives) if conditions.unavailable != "objective_events" else ():
        objective = view.at.model.objective(id_, view.at.moment)
        if objective is None:
            continue
        for item in view.at.events(objective, since, until).all():
            _merge(named, item["user"])
            rows.append(
                {
                    "event_id": item["eventId"],
                    "objective_id": id_,
                    "account_id": item["user"]["id"],
                    "group_id": objective.group.id,
                    "event_type": item["eventType"],
                    "occurred_at": moment_of(item["timestamp"]),
                    "proficiency": item["evaluation"].get("proficiency"),
                }
            )
    shown.seen["objective_events"] = keyed("objective_events", rows)
    shown.passing["accounts"] = keyed("accounts", ({**row, "is_managed": None} for row in named.values()))
    return shown


def objectives_to_request(organization: Organization, moment: datetime, conditions: Conditions) -> set[str]:
    """The objectives that can be listed at a moment."""
    view = TablePreviews(organization, moment, conditions)
    return {objective.id for group in view.inside("objectives") for objective in view.objectives(group)}


def _fitting(shown: Shown, table: str, rows: Iterator[tuple[Row, bool]]) -> Iterator[Row]:
    """The rows that fit; the others are noted as rejected."""
    for row, bent in rows:
        if bent:
            (key,) = keyed(table, [row])
            required = {"group_id": row["group_id"]} if table == "objectives" else {}
            shown.rejected.setdefault(table, {})[key] = required
        else:
            yield row


# -- things


def organization_row(said: Row) -> Row:
    return {
        "organization_id": said["id"],
        "name": said["name"],
        "email_address": said["emailAddress"],
        "locale": said["locale"],
        "domicile": said["domicile"],
        "contract_type": said["contract"]["type"],
        "contract_created_at": moment_of(said["contract"]["created"]),
        "contract_expires_at": moment_of(said["contract"]["expires"]),
        "group_member_quota": said["groupMemberQuota"],
        "privacy_location": said["privacyLocation"],
    }


def playable_row(thing: Any) -> Row:
    return {"playable_id": thing.id, "type": thing.type, "name": thing.name}


def playables(view: TablePreviews) -> Iterator[Any]:
    """Every one that is named anywhere."""
    at = view.at
    for catalog in view.catalogs if "catalog_content" not in view.unavailable else ():
        yield from view.playables_of(catalog)
    for group in view.inside("groups"):
        yield from group.tests
    for group in view.inside("group_drillables"):
        yield from at.drillables(group)
    for group in view.inside("objectives"):
        for objective in view.objectives(group):
            yield from at.playables(objective)
    for group in view.inside("results"):
        if any("id" in item["member"] for item in view.members(group)):
            yield from view.listed("results", at.drillables(group))
    for group in view.inside("test_results"):
        for test in group.tests:
            yield test
            if any("drills" in one for item in at.test_results(group, test) for one in item["testResults"]):
                yield from [thing for thing in at.drillables(group) if thing.type == "DRILL"][:3]


def catalog_rows(view: TablePreviews) -> Iterator[Row]:
    for catalog in view.catalogs:
        things = view.at.catalog_content(catalog)
        yield {
            "catalog_id": catalog.id,
            "name": catalog.name,
            "description": catalog.description,
            "organization_id": view.at.model.id,
            "playable_count": None if "catalog_content" in view.unavailable else len(things),
        }


def group_row(view: TablePreviews, group: Any) -> Row:
    said = view.at.group(group)
    detail = view.at.group_detail(group) if group.id != view.conditions.group else {}
    return {
        "group_id": group.id,
        "name": said["name"],
        "description": said["description"],
        "custom_reference": said.get("customReference"),
        "member_count": said["counts"]["members"],
        "drillable_count": said["counts"]["drillables"],
        "test_count": said["counts"]["tests"],
        "is_sensitive": detail.get("sensitiveContent"),
        "created_at": moment_of(said["created"]),
        "last_edited_at": moment_of(said["lastEdited"]),
    }


def member_rows(view: TablePreviews) -> Iterator[tuple[Row, bool]]:
    for group in view.inside("group_members"):
        members = view.members(group)
        bent = view.bent("group_members", members)
        for item in members:
            user = item["member"]
            row = {
                "group_id": group.id,
                "member_key": user["id"] if "id" in user else invitee_key(user["emailAddress"]),
                "account_id": user.get("id"),
                "name": user.get("name"),
                "email_address": user.get("emailAddress"),
                "status": item.get("status", "MEMBER").upper(),
                "joined_at": moment_of(item.get("joined")),
                "invited_at": moment_of(item.get("invited")),
            }
            yield row, any(item is one for one in bent)


def objective_rows(view: TablePreviews) -> Iterator[tuple[Row, bool]]:
    for group in view.inside("objectives"):
        objectives = view.objectives(group)
        bent = view.bent("objectives", objectives)
        for objective in objectives:
            said = view.at.objective(objective)
            study = said.get("estimatedStudyDuration")
            minimum = said.get("minimumProficiency")
            row = {
                "objective_id": objective.id,
                "group_id": group.id,
                "name": said["name"],
                "type": said["type"],
                "review_at": moment_of(said.get("reviewDate")),
                "minimum_proficiency": minimum,
                "falling_minimum_proficiency": said.get("fallingMinimumProficiency", minimum),
                "estimated_study_seconds": int(study[2:-1]) * 3600 if study else None,
            }
            yield row, any(objective is one for one in bent)


def evaluation_rows(view: TablePreviews, on: date) -> Iterator[Row]:
    for group in view.inside("objective_evaluations"):
        objectives = view.objectives(group)
        bent = view.bent("objectives", objectives)
        for objective in objectives:
            said = view.at.objective(objective)
            unknown = any(objective is one for one in bent)
            for item in view.listed("objective_evaluations", view.at.evaluations(objective).all()):
                yield {
                    "export_date": on,
                    "objective_id": objective.id,
                    "account_id": item["user"]["id"],
                    "group_id": group.id,
                    "met": item["met"],
                    "proficiency": item.get("proficiency"),
                    "evaluated_at": moment_of(item["evaluationDate"]),
                    "review_at": moment_of(item.get("reviewDate", said.get("reviewDate"))),
                    "minimum_proficiency": None if unknown else said.get("minimumProficiency"),
                    "captured_at": view.when,
                }


def result_rows(view: TablePreviews, on: date) -> Iterator[Row]:
    for group in view.inside("results"):
        for item in view.members(group):
            if "id" not in item["member"]:
                continue
            membership = view.at.with_account(group, item["member"]["id"])
            assert membership is not None
            for result in view.listed("results", view.at.results(group, membership).all()):
                yield {
                    "export_date": on,
                    "group_id": group.id,
                    "account_id": item["member"]["id"],
                    "playable_id": result["drillable"]["id"],
                    "proficiency": result["proficiency"]["overall"],
                    "receptive_proficiency": result["proficiency"].get("receptive"),
                    "productive_proficiency": result["proficiency"].get("productive"),
                    "highest_proficiency": result.get("highestProficiency", {}).get("overall"),
                    "eventual_proficiency": result.get("eventualProficiency", {}).get("overall"),
                    "time_spent_seconds": result["timeSpent"],
                    "expected_duration_seconds": result["expectedDuration"],
                    "last_practiced_at": moment_of(result.get("lastPracticed")),
                    "added_at": moment_of(result.get("added")),
                    "captured_at": view.when,
                }


def _tests(shown: Shown, view: TablePreviews) -> None:
    """Attempts at tests, their scores and drills. Parts of an attempt that does not fit are set aside with it."""
    attempts: list[Row] = []
    scores: list[Row] = []
    drills: list[Row] = []
    for group in view.inside("test_results"):
        for test in group.tests:
            people = view.at.test_results(group, test)
            bent = [one["testResults"][0]["id"] for one in view.bent("test_results", people) if one["testResults"]]
            for person, attempt in ((one["user"]["id"], attempt) for one in people for attempt in one["testResults"]):
                if attempt["id"] in bent:
                    shown.rejected.setdefault("test_results", {})[attempt["id"],] = {}
                    continue
                score = attempt.get("score", {})
                transformations = score.get("transformations", [])
                attempts.append(
                    {
                        "test_result_id": attempt["id"],
                        "test_id": test.id,
                        "group_id": group.id,
                        "account_id": person,
                        "started_at": moment_of(attempt["started"]),
                        "completed_at": moment_of(attempt.get("completed")),
                        "duration_minutes": attempt.get("duration"),
                        "question_count": attempt["size"],
                        "correctly_answered": attempt["correctlyAnswered"],
                        "progress": float(attempt["progress"]),
                        "score_percentage": score.get("percentage"),
                        "passed": next((one["passed"] for one in transformations if "passed" in one), None),
                    }
                )
                scores += [
                    {
                        "test_result_id": attempt["id"],
                        "transformation_id": one["id"],
                        "result": one["result"],
                        "passed": one.get("passed"),
                        "percentage": one.get("percentage"),
                    }
                    for one in transformations
                ]
                drills += [
                    {
                        "test_result_id": attempt["id"],
                        "drill_id": one["drill"]["id"],
                        "score_percentage": one["score"]["percentage"],
                    }
                    for one in attempt.get("drills", [])
                ]
    shown.seen["test_results"] = keyed("test_results", attempts)
    shown.seen["test_result_scores"] = keyed("test_result_scores", scores)
    shown.seen["test_result_drills"] = keyed("test_result_drills", drills)


# -- people


def _people(shown: Shown, view: TablePreviews) -> None:
    """The list of accounts, and everybody who is named elsewhere."""
    at = view.at
    listed = view.listed("accounts", at.accounts().all()) if view.reads("accounts") else []
    bent = {item["account"]["id"] for item in view.bent("accounts", listed)}
    if bent:
        shown.rejected["accounts"] = {(id_,): {} for id_ in bent}
    rows = (account_row(item["account"], item["relationTypes"]) for item in listed if item["account"]["id"] not in bent)
    shown.seen["accounts"] = keyed("accounts", rows)
    shown.seen["account_external_ids"] = keyed(
        "account_external_ids",
        (
            {"account_id": item["account"]["id"], "third_party": one["thirdParty"], "external_id": one["id"]}
            for item in listed
            for one in item["account"].get("thirdPartyIds", [])
        ),
    )
    named: dict[str, Row] = {}
    for user in _named(view):
        _merge(named, user)
    strangers(shown, view, named, {item["account"]["id"] for item in listed})


def _named(view: TablePreviews) -> Iterator[Mapping[str, Any]]:
    """Users in the answers about groups. What they say of one person never contradicts itself."""
    at = view.at
    for group in view.inside("group_members"):
        yield from (item["member"] for item in view.members(group) if "id" in item["member"])
    for group in view.inside("group_staff"):
        yield from (item["user"] for item in at.group_staff(group))
    for group in view.inside("objective_evaluations"):
        for objective in view.objectives(group):
            yield from (item["user"] for item in view.listed("objective_evaluations", at.evaluations(objective).all()))
    for group in view.inside("test_results"):
        for test in group.tests:
            yield from (item["user"] for item in at.test_results(group, test))


def _merge(named: dict[str, Row], user: Mapping[str, Any]) -> None:
    row = account_row(user, None)
    known = named.setdefault(user["id"], row)
    known.update({name: value for name, value in row.items() if known[name] is None})


def account_row(user: Mapping[str, Any], relations: list[str] | None) -> Row:
    year = user.get("yearOfBirth")
    return {
        "account_id": user["id"],
        "name": user["name"],
        "email_address": user.get("emailAddress"),
        "locale": user.get("locale"),
        "domicile": user.get("domicile"),
        "time_zone": user.get("timeZone"),
        "year_of_birth": int(year) if year else None,
        "status": user.get("status"),
        "is_managed": None if relations is None else True,
        "is_admin": None if relations is None else "ADMIN" in relations,
        "repertoire_size": user.get("repertoireSize"),
        "organization_id": user.get("organization", {}).get("id"),
        "created_at": moment_of(user.get("created")),
        "last_login_at": moment_of(user.get("lastLogin")),
    }


def has_too_many_rejects(shown: Shown) -> bool:
    """Whether the load of a capture would be refused."""
    return any(len(keys) > 10 for keys in shown.rejected.values())
