"""The forms in which Drillster may answer where its documentation leaves that open (drillster-api.md, section 14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NONE: frozenset[str] = frozenset()
CursorKind = Literal["documented", "id", "timestamp", "index"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """One switch for each thing that is not known. The defaults are what is documented, or what is most likely.

    Where a field is a set of resources, these are the names of the walk (``accounts``, ``group_members``, …), or
    ``*`` for all of them.
    """

    # The list of accounts
    accounts_list: str = "accounts"
    accounts_items: Literal["wrapped", "bare"] = "wrapped"
    accounts_order: Literal["oldest_first", "newest_first"] = "oldest_first"

    # The list of groups
    groups_total: Literal["pagination", "top", "both"] = "pagination"
    """``top``: no pagination, a ``total`` beside the list, and (as in 2.1) paging by ``resultStart``."""
    group_has_tests: bool = True
    group_has_members: bool = False
    """``group/{id}`` and its drillables carry an empty list ``members``, as the example in the documentation does."""

    # The members of a group
    members_paging: Literal["cursor", "all"] = "cursor"
    members_default: int | None = 10
    """How many without ``resultSize``; None: all that remain, as in 2.1."""
    invitee_status: bool = True
    """An invitee has ``status`` (and ``invited``); without it, only the lack of ``joined`` tells."""
    invitee_invited: bool = True
    invitee_id: bool = True
    """An invitee who has an account already shows its id."""
    invitee_results: Literal["empty", "missing"] = "empty"
    """``missing``: 404 for the results of somebody who has not joined."""

    # Pages
    without_total: frozenset[str] = NONE
    """No total, neither in the pagination nor beside the list."""
    without_more_available: frozenset[str] = NONE
    without_pagination: frozenset[str] = NONE
    """No pagination object at all (the list goes on all the same, if the size asked for is smaller)."""
    inclusive: frozenset[str] = NONE
    """The next page starts at the cursor, not after it."""
    null_cursor_on_empty: bool = False
    """An empty page has ``"lastOnPage": null``; otherwise it leaves it out."""
    cursors: CursorKind = "documented"
    """What ``lastOnPage`` is. Documented are milliseconds (accounts), timestamps (members) and ids (all others).
    ``id`` tells for accounts and members, ``timestamp`` for evaluations and events, ``index`` for all."""

    # The objectives of a group
    objectives_list: Literal["wrapped", "array"] = "wrapped"
    objectives_content: Literal["playables", "drills"] = "playables"
    objectives_numbers: Literal["integer", "string"] = "integer"
    objectives_named: bool = True

    # Evaluations
    evaluations_list: Literal["evaluations", "objectiveEvaluations", "array"] = "evaluations"
    evaluations_leave_out: frozenset[str] = NONE
    """Of ``proficiency``, ``evaluationDate``, ``reviewDate``, ``playableEvaluations``."""

    # Events
    events_list: str = "events"
    events_type: Literal["eventType", "type"] = "eventType"
    events_time: Literal["timestamp", "date", "evaluationDate"] = "timestamp"
    events_evaluation: Literal["evaluation", "objectiveEvaluation"] = "evaluation"
    events_user: Literal["item", "evaluation"] = "item"
    events_have_id: bool = True

    # Results
    practice: Literal["inline", "practice", "drillable"] = "inline"
    proficiency: Literal["object", "number"] = "object"

    # Results of tests
    test_results_list: str = "memberTestResults"
    test_results_items: Literal["grouped", "flat"] = "grouped"
    attempts_leave_out: frozenset[str] = NONE
    """Of ``completed`` and ``score``, or any other field of an attempt: from every second one."""

    # Catalogs
    catalogs_list: str = "catalogs"
    content_list: str = "playables"
    content_version: Literal["2.1.1", "3", "both"] = "both"
    """Under which version ``catalog/{id}/content`` answers; 404 under the other."""

    # Everything
    timestamps: Literal["seconds", "milliseconds", "minutes", "mixed"] = "seconds"
    optional_fields: bool = True
    """False: only what is required is told of accounts, groups, members, objectives, evaluations and results."""
    errors: Literal["object", "oauth", "html", "nothing"] = "object"
    grant_errors: Literal["oauth", "object", "html", "nothing"] = "oauth"
    permission_status: Literal[401, 403] = 403

    def leaves_out(self, names: frozenset[str], resource: str) -> bool:
        """Whether a set of resources holds this one."""
        return resource in names or "*" in names
