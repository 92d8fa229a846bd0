"""Who and what there is at one moment: the organization, its accounts and its groups, in the API's documented forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from . import objects
from .calendar import DAY, FOREVER, FOUNDING, horizon_of, iso, iso_milliseconds, parse_iso
from .groups import Group, Membership
from .ids import Kind, Reference
from .names import DOMAIN, ORGANIZATION, OTHER_ORGANIZATIONS
from .objects import Object
from .paging import BadCursor, Listing, ordered

if TYPE_CHECKING:
    from .content import Playable
    from .organization import Organization
    from .person import Person


class Stamp(int):
    """Milliseconds that read as an ISO timestamp with milliseconds: the cursor of a list of members."""

    def __str__(self) -> str:
        return iso_milliseconds(self)


class Census:
    """What Drillster would say at ``moment`` (milliseconds since 1970)."""

    def __init__(self, organization: Organization, moment: int) -> None:
        self.model = organization
        self.moment = moment
        self._by_reference: Callable[[Group], dict[Reference, Membership]] = lru_cache(maxsize=128)(
            lambda group: {
                membership.reference: membership
                for membership in self.model.groups.members(group, moment)
                if self.has_account(membership)
            }
        )

    # -- the organization and its accounts ---------------------------------------------------------------------

    def organization(self) -> Object:
        """The Organization object."""
        model = self.model
        return {
            "type": "ORGANIZATION",
            "id": model.id,
            "name": ORGANIZATION,
            "emailAddress": f"info@{DOMAIN}",
            "locale": "nl",
            "domicile": "NL",
            "contract": {
                "type": "BUSINESS",
                "created": iso(FOUNDING - 30 * DAY),
                "expires": iso(FOUNDING + 3652 * DAY),
            },
            "groupMemberQuota": model.size.accounts * 5 // 4,
            "thirdParties": ["HRCO", "LMS"],
            "mayCreateGroupMemberAccounts": True,
            "privacyLocation": "EU",
        }

    def other_organization(self, number: int) -> Object:
        """An organization whose people are guests in our groups."""
        id_ = self.model.ids.make(Kind.OTHER_ORGANIZATION, number)
        return {"type": "ORGANIZATION", "id": id_, "name": OTHER_ORGANIZATIONS[number][0]}

    def _brief_organization(self) -> Object:
        return {"type": "ORGANIZATION", "id": self.model.id, "name": ORGANIZATION}

    def account(self, person: Person) -> Object:
        """An OrganizationAccount: the account, and how it relates to the organization."""
        relations = ["ADMIN"] if person.reference.kind is Kind.STAFF else ["ACCOUNT"]
        if relations == ["ACCOUNT"] and self.model.is_administrator(person):
            relations = ["ADMIN", "ACCOUNT"]
        user = objects.account_user(person, self.moment, organization=self._brief_organization())
        return {"account": user, "relationTypes": relations}

    def accounts(self) -> Listing:
        """All accounts, by creation; the cursor is the millisecond of that."""
        roster = self.model.people.roster(self.moment)
        staff = self.model.staff() if self.moment >= FOUNDING + 1_000 else []
        starts = roster.starts

        def person(index: int) -> Person:
            if index < len(staff):
                return staff[index]
            place = index - len(staff)
            found = self.model.of_chair(int(roster.chairs[place]), int(roster.numbers[place]), self.moment)
            assert found is not None
            return found

        def place_of(text: str, side: str) -> int:
            wanted = max(0, min(FOREVER, int(text)))
            early = sum(1 for one in staff if one.start < wanted or (side == "right" and one.start == wanted))
            found = int(starts.searchsorted(wanted, side=side))  # type: ignore[call-overload]  # side is one of two words
            return early + found

        return Listing(
            total=len(staff) + len(roster),
            items=lambda start, stop: [
                self.account(person(index)) for index in range(start, min(stop, len(staff) + len(roster)))
            ],
            cursor=lambda index: str(person(index).start),
            after=lambda text: place_of(text, "right"),
            at=lambda text: place_of(text, "left"),
        )

    def accounts_by_id(self, listing: Listing) -> Listing:
        """The same list with the id of an account as its cursor."""

        def start_of(text: str) -> str:
            person = self.model.account(text, self.moment)
            if person is None:
                raise BadCursor(text)
            return str(person.start)

        return replace(
            listing,
            cursor=lambda index: str(listing.items(index, index + 1)[0]["account"]["id"]),
            after=lambda text: listing.after(start_of(text)),
            at=lambda text: listing.at(start_of(text)),
        )

    def administrators(self) -> list[Person]:
        """Staff of the organization: those who do not learn first."""
        found = self.model.staff()
        for chair in range(self.model.size.administrators):
            person = self.occupant(chair)
            if person is not None:
                found.append(person)
        return found

    def occupant(self, chair: int) -> Person | None:
        """Whose account a chair holds."""
        for stint in self.model.people.stints(chair, horizon_of(self.moment)):
            if stint.start <= self.moment < stint.gone:
                return self.model.of_chair(chair, stint.number, self.moment)
        return None

    # -- groups ------------------------------------------------------------------------------------------------

    def present_groups(self) -> tuple[Group, ...]:
        """The groups that exist, by id."""
        return self.model.groups.present(self.moment)

    def find_group(self, group_id: str) -> Group | None:
        """A group by its id."""
        return self.model.groups.find(self.model.ids.read(group_id), self.moment)

    def memberships(self, group: Group) -> tuple[Membership, ...]:
        """Members and invitees, by the time they joined or were invited."""
        return self.model.groups.members(group, self.moment)

    def is_member(self, membership: Membership) -> bool:
        """Whether they have joined; if not, they are invited."""
        return membership.joined <= self.moment

    def has_account(self, membership: Membership) -> bool:
        """Whether the person has an account by now."""
        return membership.account_from <= self.moment

    def counts(self, group: Group) -> Object:
        """GroupCounts: members (who joined), drillables, tests."""
        return {
            "members": sum(1 for membership in self.memberships(group) if self.is_member(membership)),
            "drillables": group.drillables,
            "tests": group.tests,
        }

    def group(self, group: Group) -> Object:
        """A Group as the list of groups has it."""
        groups = self.model.groups
        found: Object = {
            "id": group.id,
            "name": groups.name(group, self.moment),
            "description": groups.description(group),
            "counts": self.counts(group),
            "icon": objects.icon("group"),
            "created": iso(group.created),
            "lastEdited": iso(groups.edited(group, self.moment)),
        }
        if group.key % 2:
            found["customReference"] = f"KP-{1000 + group.slot}/{group.life}"
        return found

    def group_detail(self, group: Group) -> Object:
        """A Group as ``group/{id}`` has it: with its tests."""
        found = self.group(group)
        found |= {
            "organization": {"type": "ORGANIZATION", "id": self.model.id, "mayCreateGroupMemberAccounts": True},
            "affordances": ["VIEW", "MANAGE"] if self.may_manage(group) else ["VIEW"],
            "forcedMembershipNotification": False,
            "sensitiveContent": group.key % 7 == 0,
        }
        tests = self.tests(group)
        if tests:
            found["tests"] = [objects.playable(test) for test in tests]
        return found

    def may_manage(self, group: Group) -> bool:
        """Whether the service account manages the group; it may view all of them."""
        return group.key % 5 == 0

    def member(self, membership: Membership) -> Object:
        """A GroupMember: who, and since when. An invitee has not joined."""
        person = self.model.member(membership)
        user = objects.member_user(person, self.moment, with_id=self.has_account(membership))
        if person.organization is not None and "id" in user:
            user["organization"] = self.other_organization(person.organization)
        if not self.is_member(membership):
            found = {"member": user, "status": "invited"}
            return found | ({"invited": iso(membership.invited)} if membership.invited is not None else {})
        return {"member": user, "joined": iso(membership.joined)}

    def members(self, group: Group) -> Listing:
        """The list of members and invitees; the cursor is the time they joined or were invited."""
        moment = self.moment
        return ordered(
            self.memberships(group), self.member, lambda membership: Stamp(membership.stamp(moment)), parse_iso
        )

    def staff(self, group: Group) -> list[tuple[Person, str]]:
        """Who manages or views the group: an administrator, one or two of the members, all with an account."""
        found: dict[str, tuple[Person, str]] = {}
        manager = self.occupant(group.key % self.model.size.administrators)
        if manager is not None:
            found[manager.id] = (manager, "MANAGE")
        for number in range(min(group.seats, group.key % 3)):
            chair = (group.step * number + group.offset) % self.model.size.chairs
            viewer = self.occupant(chair)
            if viewer is not None and viewer.status(self.moment) == "ACTIVE":
                found.setdefault(viewer.id, (viewer, "VIEW" if number or group.key % 2 else "MANAGE"))
        return list(found.values())

    def group_staff(self, group: Group) -> list[Object]:
        """GroupStaffUser objects."""
        return [
            {"group": {"id": group.id}, "user": self._staff_user(person), "permission": permission}
            for person, permission in self.staff(group)
        ]

    def _staff_user(self, person: Person) -> Object:
        user = objects.member_user(person, self.moment)
        user.pop("realName", None)
        return user | ({"locale": person.locale} if person.locale else {})

    def drillables(self, group: Group) -> list[Playable]:
        """Drills and courses of the group."""
        content = self.model.content
        return [
            content.drillable(index, self.moment)
            for index in content.changing(group.key, group.drillables, self.moment)
        ]

    def tests(self, group: Group) -> list[Playable]:
        """Tests of the group."""
        return [self.model.content.test(group.slot, number) for number in range(group.tests)]
