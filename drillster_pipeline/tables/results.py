"""Practice results: how proficient each member was in each playable of each group, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillster_pipeline.extract.values import identity, inner

from .schema import EXPORT_DATE, Kind, Table, captured_at, integer, key, percentage, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

_ITEM = "results: groupDrillableMemberResults[]"

RESULTS = Table(
    name="results",
    kind=Kind.SNAPSHOT,
    description=(
        "How proficient each member was in each drill and course of each group on a day. Proficiency fades "
        "without practice, so this is the time series that Drillster itself does not keep."
    ),
    key=("export_date", "group_id", "account_id", "playable_id"),
    sources=("results",),
    group_path="group_id",
    counts="pagination.total",
    columns=(
        EXPORT_DATE,
        key("group_id", "The group.", references="groups.group_id", source="results: {group_id}"),
        key("account_id", "The member.", references="accounts.account_id", source="results: {account_id}"),
        key(
            "playable_id",
            "The drill or course.",
            references="playables.playable_id",
            source=f"{_ITEM}.drillable.id",
        ),
        percentage("proficiency", "Overall proficiency.", source=f"{_ITEM}.practice.proficiency.overall"),
        percentage(
            "receptive_proficiency",
            "Proficiency in recognizing.",
            source=f"{_ITEM}.practice.proficiency.receptive",
        ),
        percentage(
            "productive_proficiency",
            "Proficiency in producing.",
            source=f"{_ITEM}.practice.proficiency.productive",
        ),
        percentage(
            "highest_proficiency",
            "Highest overall proficiency ever reached; not for courses.",
            source=f"{_ITEM}.practice.highestProficiency.overall",
        ),
        percentage(
            "eventual_proficiency",
            "Overall proficiency that remains in the long term if practice stops.",
            source=f"{_ITEM}.practice.eventualProficiency.overall",
        ),
        integer("time_spent_seconds", "Time practiced, in seconds.", source=f"{_ITEM}.practice.timeSpent"),
        integer(
            "expected_duration_seconds",
            "Expected time to reach 100 %, in seconds.",
            source=f"{_ITEM}.practice.expectedDuration",
        ),
        timestamp("last_practiced_at", "Last practice.", source=f"{_ITEM}.practice.lastPracticed"),
        timestamp(
            "added_at",
            "When it was added to the person's repertoire; NULL: a trial.",
            source=f"{_ITEM}.practice.added",
        ),
        captured_at("results: captured_at"),
    ),
)


def read_results(page: Page, found: Findings) -> None:
    """Results of one member: measures (object Practice) under ``practice``, ``drillable.practice``, or inline.

    By far the most rows come from here, so that a playable is only noted until all is known of it.
    """
    export_date, captured = found.export_date, page.captured_at
    group_id, account_id = page.unit.get("group_id"), page.unit.get("account_id")
    member = inner(page.body.get("member") if type(page.body) is dict else None)
    if found.people.mention(member) != account_id:
        found.people.mention({"id": account_id})
    complete, meet, rows = found.playables.complete, found.playables.meet, found.rows["results"]
    for item in found.objects("results", found.items("results", page), "groupDrillableMemberResults"):
        get = item.get
        playable = inner(get("drillable"))
        playable_id = identity(playable.get("id"))
        if playable_id not in complete:
            meet(playable, "DRILL")
        practice = get("practice")
        if practice is None:
            practice = playable.get("practice")
        if practice is not None:
            get = inner(practice).get
        receptive = productive = None
        proficiency, highest, eventual = (
            get("proficiency"),
            get("highestProficiency"),
            get("eventualProficiency"),
        )
        if type(proficiency) is dict:
            receptive, productive = proficiency.get("receptive"), proficiency.get("productive")
            proficiency = proficiency.get("overall")
        rows.append(
            (
                export_date,
                group_id,
                account_id,
                playable_id,
                proficiency,
                receptive,
                productive,
                highest.get("overall") if type(highest) is dict else highest,
                eventual.get("overall") if type(eventual) is dict else eventual,
                get("timeSpent"),
                get("expectedDuration"),
                get("lastPracticed"),
                get("added"),
                captured,
            )
        )
