"""A scenario: from a seed to a sequence of orders. Runs in the venv of the commit before, whose sandbox it uses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from drillster_pipeline.sandbox.validation import CURSOR_LISTS, LISTS, validate

from drillster_pipeline.sandbox import Failure, Faults, FieldFault, How, Organization, PageFault, Shapes, Size

SNAPSHOT_TABLES = (
    "organizations", "accounts", "account_external_ids", "playables", "catalogs", "catalog_playables", "groups",
    "group_members", "group_staff", "group_playables", "objectives", "objective_playables", "objective_evaluations",
    "results", "test_results", "test_result_scores", "test_result_drills",
)  # fmt: skip
FORM_CHOICES: dict[str, tuple[Any, ...]] = {
    "accounts_list": ("organizationAccounts", "people"),
    "accounts_items": ("bare",),
    "accounts_order": ("newest_first",),
    "groups_total": ("top", "both"),
    "group_has_tests": (False,),
    "group_has_members": (True,),
    "members_paging": ("all",),
    "members_default": (None,),
    "invitee_status": (False,),
    "invitee_invited": (False,),
    "invitee_id": (False,),
    "invitee_results": ("missing",),
    "without_total": (frozenset({"*"}), frozenset({"groups"}), frozenset({"accounts", "results"})),
    "without_more_available": (frozenset({"*"}), frozenset({"accounts"})),
    "without_pagination": (frozenset({"*"}), frozenset({"catalogs"})),
    "inclusive": (frozenset({"*"}), frozenset({"accounts"}), frozenset({"group_members"})),
    "null_cursor_on_empty": (True,),
    "cursors": ("id", "timestamp", "index"),
    "objectives_list": ("array",),
    "objectives_content": ("drills",),
    "objectives_numbers": ("string",),
    "objectives_named": (False,),
    "evaluations_list": ("objectiveEvaluations", "array"),
    "evaluations_leave_out": tuple(
        frozenset({name}) for name in ("proficiency", "evaluationDate", "reviewDate", "playableEvaluations")
    ),
    "events_list": ("changes",),
    "events_type": ("type",),
    "events_time": ("date", "evaluationDate"),
    "events_evaluation": ("objectiveEvaluation",),
    "events_user": ("evaluation",),
    "events_have_id": (False,),
    "practice": ("practice", "drillable"),
    "proficiency": ("number",),
    "test_results_list": ("attempts",),
    "test_results_items": ("flat",),
    "attempts_leave_out": (frozenset({"completed"}), frozenset({"score"})),
    "catalogs_list": ("items",),
    "content_list": ("content", "things"),
    "content_version": ("2.1.1", "3"),
    "timestamps": ("milliseconds", "minutes", "mixed"),
    "optional_fields": (False,),
    "errors": ("oauth", "html", "nothing"),
    "grant_errors": ("object", "html", "nothing"),
    "permission_status": (401,),
}
FIELDS = {
    "organization": ("name", "emailAddress", "locale", "contract"),
    "accounts": ("account.id", "account.name", "account.emailAddress", "account.created", "account.lastLogin",
                 "account.yearOfBirth", "account.locale", "id", "name", "emailAddress", "repertoireSize",
                 "relationTypes", "account.status"),
    "groups": ("id", "name", "memberCount", "created", "drillableCount", "customReference"),
    "group": ("name", "tests", "memberCount"),
    "group_members": ("id", "account.id", "name", "status", "joined", "invited", "emailAddress"),
    "group_staff": ("id", "permission", "user.id", "name"),
    "group_drillables": ("id", "type", "name"),
    "objectives": ("id", "name", "type", "minimumProficiency", "reviewDate", "playables", "estimatedStudyTime"),
    "objective_evaluations": ("user.id", "met", "proficiency", "evaluationDate", "reviewDate", "user.name"),
    "results": ("drillable.id", "drillable.name", "drillable.type", "proficiency", "lastPracticed", "timeSpent",
                "proficiency.overall", "added", "practice"),
    "test_results": ("user.id", "testResults.id", "testResults.started", "testResults.score", "testResults.progress"),
    "objective_events": ("id", "eventType", "timestamp", "user.id", "evaluation.proficiency"),
    "catalogs": ("id", "name"),
    "catalog": ("name", "description"),
    "catalog_content": ("id", "type", "name"),
}  # fmt: skip
VALUES = ("x", "", 12, 12.5, -1, 101, 10**12, True, None, [], {}, "2026-02-30T00:00:00Z", "2026-01-05T10:00:00+05:30",
          "\u0000nul", "🙂 émoji", "9" * 300, "ADMIN")  # fmt: skip
UNKNOWN = ("brandNew", "account.brandNew", "extra.deep")
PLACES = ("group/{g}/members", "group/{g}/staff", "group/{g}/drillables", "group/{g}/objectives", "group/{g}")
WIDE = ("group/*/staff", "group/*/members", "group/*/drillables", "group/*/objectives", "organization/*/catalogs",
        "catalog/*/content", "group/*/member-results/*", "group/*/test-results/*", "objectives/*/events",
        "group/*/objective/*/evaluations", "organization", "groups", "organizations/*/accounts")  # fmt: skip


@dataclass
class Step:
    """One order. ``what`` goes to the adapter; the rest is done around it."""

    what: dict[str, Any]
    moment: datetime
    now: datetime
    faults: Faults = field(default_factory=Faults)
    kill_request: int | None = None
    env: dict[str, str | None] = field(default_factory=dict)


@dataclass
class Scenario:
    seed: int
    size: Size
    timezone: str
    env: dict[str, str]
    steps: list[Step]
    upgrade_at: int | None
    """From which step on the new program takes over what the old one has written; None: it does all."""


class Maker:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"scenario {seed}")
        chance = self.chance
        self.size = Size(
            accounts=chance.choice((14, 20, 30, 40)),
            groups=chance.choice((1, 2, 3, 4)),
            objectives_per_group=chance.choice((1, 2, 4)),
            tests_per_group=chance.choice((0, 1, 2)),
            drillables_per_group=chance.choice((3, 6, 11)),
            catalogs=chance.choice((0, 2, 2)),
            playables_per_catalog=chance.choice((4, 11)),
            import_batch=chance.choice((1, 12)),
            pace=chance.choice((1, 1, 4, 4, 12, 24)),
        )
        self.organization = Organization(self.size, seed)
        self.zone = ZoneInfo(chance.choice(("Europe/Amsterdam",) * 3 + ("UTC", "America/New_York", "Asia/Kolkata")))
        start = chance.choice((date(2026, 3, 28), date(2026, 2, 26), date(2026, 5, 4), date(2026, 6, 29)))
        self.day = start - timedelta(days=chance.randrange(3))
        self.nights: list[date] = []
        self.privacy = chance.choice(("keep",) * 4 + ("pseudonymize", "drop"))
        self.now = self._moment()
        self.steps: list[Step] = []
        self.evidence = 0
        self.simple = chance.random() < 0.08
        """Nothing goes wrong: all is through the command line."""
        self.runs = chance.random() < 0.2
        """Some nights are runs of Dagster: they take most of the time, so few scenarios have any."""

    def _moment(self) -> datetime:
        """Some time after the end of ``self.day``."""
        chance = self.chance
        wall = datetime.combine(
            self.day + timedelta(days=1), time(chance.choice((0, 2, 4, 9, 21)), chance.randrange(60)), self.zone
        )
        return wall.astimezone(UTC)

    # -- what goes wrong -----------------------------------------------------------------------------------------

    def _groups(self) -> list[str]:
        return [group.id for group in self.organization.at(self.now).present_groups()]

    def _group(self) -> str:
        return self.chance.choice(self._groups() or ["none"])

    def _faults(self) -> Faults:
        for _ in range(50):
            faults = Faults()
            for _ in range(self.chance.choice((1, 1, 2, 3))):
                faults = self._fault(faults)
            try:
                validate(faults)
            except ValueError:
                continue
            return faults
        return Faults()

    def _fault(self, faults: Faults) -> Faults:
        chance = self.chance
        kind = chance.choice(
            ("transient", "transient", "closed", "closed", "forbidden", "sight", "page", "page", "field", "field",
             "field", "lost", "forms", "forms", "forms", "sizes", "sizes", "cut", "token")
        )  # fmt: skip
        if kind == "transient":
            return replace(faults, failure_rate=chance.choice((0.02, 0.1)))
        if kind == "forms":
            chosen = chance.sample(sorted(FORM_CHOICES), chance.choice((1, 2, 4)))
            forms = {name: chance.choice(FORM_CHOICES[name]) for name in chosen}
            return replace(faults, shapes=replace(faults.shapes, **forms))
        if kind == "sight":
            name = chance.choice(("hidden_groups", "unlisted_groups", "empty_groups"))
            return replace(faults, **{name: frozenset({self._group()})})
        if kind == "page":
            what = chance.choice(("stuck", "endless", "repeat", "shrink", "empty", "short", "total_off", "more_lies"))
            resource = chance.choice(sorted(CURSOR_LISTS if chance.random() < 0.8 else LISTS))
            fault = PageFault(resource=resource, what=what, n=chance.choice((1, 1, 2, 5)))
            sizes = {resource: 10} if chance.random() < 0.6 else {}
            return replace(faults, pages=(*faults.pages, fault), clamped_sizes={**faults.clamped_sizes, **sizes})
        if kind == "field":
            resource = chance.choice(sorted(FIELDS))
            name = chance.choice(FIELDS[resource] if chance.random() < 0.85 else UNKNOWN)
            what = chance.choice(("missing", "null", "value", "value"))
            value = chance.choice(VALUES)
            fault = FieldFault(
                resource=resource, field=name, what=what, value=value, every=chance.choice((1, 2, 3, 7, 7))
            )
            return replace(faults, fields=(*faults.fields, fault))
        if kind == "sizes":
            name = chance.choice(("refused_sizes", "clamped_sizes"))
            resource = chance.choice(("*", "accounts", "groups", "results", "objective_evaluations", "group_members"))
            return replace(faults, **{name: {**getattr(faults, name), resource: chance.choice((10, 50))}})
        return replace(faults, failures=(*faults.failures, self._failure(kind)))

    def _failure(self, kind: str) -> Failure:
        chance = self.chance
        if kind == "closed":
            group = self._group()
            at = chance.choice((f"group/{group}*", *(place.format(g=group) for place in PLACES)))
            status, error = chance.choice(((403, "no_group_access"), (404, "group_not_found"), (403, "")))
            return Failure(at=at, statuses=(status,), error=error, after=chance.choice((0, 0, 0, 1)))
        if kind == "forbidden":
            return Failure(at=chance.choice(WIDE), statuses=(chance.choice((403, 403, 404, 400)),))
        if kind == "lost":
            at = chance.choice(PLACES).format(g=self._group()) if chance.random() < 0.7 else chance.choice(WIDE)
            how = chance.choice((How.STATUS, How.STATUS, How.HTML, How.EMPTY))
            return Failure(at=at, how=how, statuses=(chance.choice((500, 502, 503)),))
        if kind == "token":
            return Failure(at="token", statuses=(chance.choice((500, 503)),), first=chance.choice((1, 2)))
        how = chance.choice((How.CUT, How.CUT_CHUNKED, How.RESET, How.RESET_IN_BODY, How.HTML, How.EMPTY))
        return Failure(at=chance.choice(WIDE), how=how, first=1, retry_after=chance.choice((None, None, 0, "x")))

    # -- what is done ------------------------------------------------------------------------------------------------

    def add(self, what: dict[str, Any], faults: Faults | None = None, **rest: Any) -> None:
        self.now += timedelta(minutes=1)
        self.steps.append(Step(what | {"number": len(self.steps)}, self.moment, self.now, faults or Faults(), **rest))

    def again(self) -> None:
        """The last order once more, at the same moment, and without what killed it."""
        last = self.steps[-1]
        what = {name: value for name, value in last.what.items() if name != "kill"}
        self.steps.append(replace(last, what=what | {"number": len(self.steps)}, kill_request=None))

    def cli(self, *args: str, faults: Faults | None = None, **rest: Any) -> None:
        self.add({"op": "cli", "args": list(args)}, faults, **rest)

    def night(self) -> None:
        chance = self.chance
        self.day += timedelta(days=chance.choice((1, 1, 1, 2, 3)))
        self.now = self._moment()
        self.moment = self.now
        self.nights.append(self.day)
        faults = Faults() if self.simple or chance.random() < 0.4 else self._faults()
        by_cli = self.simple or (self.runs and chance.random() < 0.3)
        if chance.random() < 0.06:
            self.privacy = chance.choice(("keep", "pseudonymize", "drop"))
        if by_cli:
            extra = ["--allow-mass-delete"] if chance.random() < 0.35 else []
            named = ["--date", str(self.day)] if chance.random() < 0.5 else []
            kill = chance.randrange(2, 50) if not self.simple and chance.random() < 0.2 else None
            self.cli("run", *named, *extra, faults=faults, kill_request=kill, env=self._env())
            if kill:
                self.again()
            return
        for kind in ("snapshot", "events"):
            if kind == "events" and chance.random() < 0.3:
                continue
            self._capture(kind, self.day, faults)
            if chance.random() < 0.9:
                self._publish(kind, self.day)

    def _capture(self, kind: str, day: date, faults: Faults | None = None, *, again: bool = False) -> None:
        chance = self.chance
        kill = chance.randrange(2, 50) if chance.random() < 0.2 else None
        what = {"op": "capture", "kind": kind, "date": str(day), "again": again}
        self.add(what, faults, kill_request=kill, env=self._env())
        if kill:
            self.again()

    def _publish(self, kind: str, day: date) -> None:
        chance = self.chance
        what: dict[str, Any] = {"op": "publish", "kind": kind, "date": str(day), "allow": chance.random() < 0.35}
        if kind == "snapshot" and chance.random() < 0.2:
            what["tables"] = sorted(chance.sample(SNAPSHOT_TABLES, chance.choice((1, 2, 5, 9))))
        kill = chance.random()
        if kill < 0.1:
            what["kill"] = {"statement": chance.randrange(1, 60)}
        elif kill < 0.25:
            what["kill"] = {"commit": chance.choice(("before", "after"))}
        self.add(what, env=self._env())
        if "kill" in what:
            self.again()

    def _env(self) -> dict[str, str | None]:
        return {"DRILLSTER_PERSONAL_DATA": self.privacy}

    def other(self) -> None:
        chance = self.chance
        kind = chance.choice(
            ("replay", "replay", "replay", "replay", "forget", "forget", "prune", "evidence", "evidence", "status", "again", "gap", "check",
             "report")
        )  # fmt: skip
        day = chance.choice(self.nights)
        if kind == "replay":
            if self.simple or (self.runs and chance.random() < 0.3):
                self.cli("run", "--date", str(day), env=self._env())
            else:
                self._publish(chance.choice(("snapshot", "snapshot", "events")), day)
        elif kind == "forget":
            self.cli("forget", self._person(), "--yes", env=self._env())
        elif kind == "prune":
            env = {
                "DRILLSTER_ARCHIVE_DAYS": chance.choice(("1", "2", "4", "400")),
                "DRILLSTER_SNAPSHOT_DAYS": chance.choice(("", "", "2", "5")),
            }
            options = [name for name in ("--keep-month-ends", "--dry-run") if chance.random() < 0.3]
            self.cli("prune", *options, env=self._env() | env)
        elif kind == "evidence":
            if (objective := self._objective()) is not None:
                file = f"evidence-{self.evidence}.csv"
                self.evidence += 1
                self.cli("evidence", "--objective", objective, "--date", str(day), "--output", file, env=self._env())
                self.cli("evidence", "--verify", file, env=self._env())
        elif kind == "status":
            self.cli("status", env=self._env())
        elif kind == "check" and self.runs:
            self.cli("check", env=self._env())
        elif kind == "report":
            self.cli("report", "--date", str(day), "--output", "report.html", env=self._env())
        elif kind == "again":
            faults = Faults() if chance.random() < 0.5 else self._faults()
            self._capture("snapshot", self.day, faults, again=True)
            self._publish("snapshot", self.day)
        else:
            self._capture("events", self.day - timedelta(days=chance.randrange(1, 5)))

    def _person(self) -> str:
        """Somebody of some night: a member of a group, or an account."""
        snapshot = self.organization.at(self.moment)
        people = [
            self.organization.ids.make(*membership.reference)
            for group in snapshot.present_groups()
            for membership in snapshot.memberships(group)
        ]
        return self.chance.choice(people or ["nobody"])

    def _objective(self) -> str | None:
        snapshot = self.organization.at(self.moment)
        found = [
            self.organization.snapshot(snapshot.moment).objective(objective)["id"]
            for group in snapshot.present_groups()
            for objective in snapshot.objectives(group)
        ]
        return self.chance.choice(found) if found else None

    def make(self) -> Scenario:
        chance = self.chance
        for _ in range(2 if self.simple else chance.choice((2, 3, 3, 4, 5))):
            self.night()
            for _ in range(chance.choice((0, 0, 1, 1, 2))):
                self.other()
        for _ in range(chance.choice((0, 1, 2))):
            self.other()
        upgrade = chance.randrange(1, len(self.steps)) if chance.random() < 0.4 else None
        env = {
            "DRILLSTER_TIMEZONE": self.zone.key,
            "DRILLSTER_FIRST_EXPORT_DATE": str(self.nights[0] - timedelta(days=1)),
            "DRILLSTER_CONCURRENCY": str(chance.choice((1, 4, 8))),
            "DRILLSTER_PSEUDONYM_KEY": "a pseudonym key of the harness",
        }
        return Scenario(self.seed, self.size, self.zone.key, env, self.steps, upgrade)


def make(seed: int) -> Scenario:
    return Maker(seed).make()


if __name__ == "__main__":
    import sys

    scenario = make(int(sys.argv[1]))
    print(scenario.size, scenario.timezone, scenario.env, "upgrade at", scenario.upgrade_at)
    plain = Faults()
    for step in scenario.steps:
        shown = {
            name: getattr(step.faults, name)
            for name in Faults.__dataclass_fields__
            if getattr(step.faults, name) != getattr(plain, name)
        }
        if "shapes" in shown:
            usual = Shapes()
            shown["shapes"] = {
                name: getattr(step.faults.shapes, name)
                for name in Shapes.__dataclass_fields__
                if getattr(step.faults.shapes, name) != getattr(usual, name)
            }
        print(step.now.isoformat(), step.what, f"kill at request {step.kill_request}" if step.kill_request else "",
              step.env, shown)  # fmt: skip
