"""Who is in a group, or invited to it, and who manages it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.values import Misfit, inner, upper

from .keys import invitee_key
from .schema import Kind, Table, key, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

GROUP_MEMBERS = Table(
    name="group_members",
    kind=Kind.ENTITY,
    description="Who is in a group, or invited to it.",
    key=("group_id", "member_key"),
    sources=("group_members",),
    group_path="group_id",
    counts="groups.member_count",
    columns=(
        key(
            "group_id",
            "The group.",
            references="groups.group_id",
            source="group_members: {group_id}",
        ),
        text(
            "member_key",
            "The account id; for an invitee without an account 'invitee:' and the first 32 hex digits of SHA-256 "
            "of the lower-case e-mail address.",
            source="group_members: members[].member.id",
            personal=True,
            nullable=False,
        ),
        text(
            "account_id",
            "The account; NULL for an invitee who has none.",
            references="accounts.account_id",
            source="group_members: members[].member.id",
        ),
        text("name", "Name, as the group knows it.", source="group_members: members[].member.name", personal=True),
        text(
            "email_address",
            "E-mail address, as the group knows it.",
            source="group_members: members[].member.emailAddress",
            personal=True,
        ),
        text(
            "status",
            "What Drillster says, in upper case. Where it says nothing: INVITED for an entry without a date of "
            "joining, unless the group has no invitees; otherwise MEMBER.",
            source="group_members: members[].status",
            nullable=False,
        ),
        timestamp("joined_at", "When the person joined.", source="group_members: members[].joined"),
        timestamp("invited_at", "When the person was invited.", source="group_members: members[].invited"),
    ),
)

GROUP_STAFF = Table(
    name="group_staff",
    kind=Kind.ENTITY,
    description="Who manages a group, or may look into it.",
    key=("group_id", "account_id"),
    sources=("group_staff",),
    group_path="group_id",
    columns=(
        key("group_id", "The group.", references="groups.group_id", source="group_staff: {group_id}"),
        key(
            "account_id",
            "The member of staff.",
            references="accounts.account_id",
            source="group_staff: groupStaffUsers[].user.id",
        ),
        text(
            "permission",
            "What the person may do with the group.",
            source="group_staff: groupStaffUsers[].permission",
            values=("MANAGE", "VIEW"),
        ),
    ),
)


def read_group_members(page: Page, found: Findings) -> None:
    """Members, and invitees: no ``joined``, often no id, perhaps ``status`` and ``invited``."""
    group_id = page.unit.get("group_id")
    counts = page.body.get("counts") if isinstance(page.body, dict) else None
    no_invitees = isinstance(counts, dict) and counts.get("invitees") == 0
    rows = found.rows["group_members"]
    for item in found.objects("group_members", found.items("group_members", page), "members"):
        member = item if item.get("member") is None else inner(item["member"])
        account_id = found.people.mention(member)
        joined, name = item.get("joined"), member.get("name")
        rows.append(
            (
                group_id,
                _member_key(account_id, member),
                account_id,
                member.get("realName") if name is None else name,
                member.get("emailAddress"),
                _status(item.get("status"), joined, is_member=no_invitees and account_id is not None),
                joined,
                item.get("invited"),
            )
        )


def _status(said: Any, joined: Any, *, is_member: bool) -> Any:
    """What Drillster says; an entry without a date of joining is how it says that somebody is an invitee.

    ``is_member``: the answer itself counts no invitees, and the person has an account: the date was left out.
    """
    if said is not None:
        return upper(said)
    return "MEMBER" if joined is not None or is_member else "INVITED"


def _member_key(account_id: Any, member: dict[str, Any]) -> Any:
    """The account; else the e-mail address, digested, or the digest that was made before that was hidden."""
    if account_id is not None:
        return account_id
    digest, email_address = member.get("inviteeKey"), member.get("emailAddress")
    if type(digest) is str and digest:
        return f"invitee:{digest}"
    if type(email_address) is str and email_address:
        return invitee_key(email_address)
    return Misfit("missing: the entry has neither an id nor an e-mail address")


def read_group_staff(page: Page, found: Findings) -> None:
    """Items ``{group, user, permission}``."""
    group_id = page.unit.get("group_id")
    rows = found.rows["group_staff"]
    for item in found.objects("group_staff", found.items("group_staff", page), "groupStaffUsers"):
        rows.append((group_id, found.people.mention(item.get("user")), upper(item.get("permission"))))
