"""The organization at one moment, as the lists and objects that the API answers with, in their documented forms.

Tests use it as an oracle: what a whole walk must have found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import objects
from .census import Census
from .groups import Group, Membership
from .objects import Object
from .paging import Listing, named

if TYPE_CHECKING:
    from .content import Playable
    from .objective import Change, Objective
    from .person import Person


class Snapshot(Census):
    """What Drillster would say at ``moment``: on top of who and what there is, how everybody does."""

    # -- results -----------------------------------------------------------------------------------------------

    def with_account(self, group: Group, account_id: str) -> Membership | None:
        """The member (or invitee with an account) of that id."""
        reference = self.model.ids.read(account_id)
        return self._by_reference(group).get(reference) if reference is not None else None

    def learners(self, group: Group) -> list[Membership]:
        """Members who have joined: those that evaluations and test results are about."""
        return [membership for membership in self.memberships(group) if self.is_member(membership)]

    def results(self, group: Group, membership: Membership) -> Listing:
        """GroupDrillableMemberResult objects of one member, by drillable; the cursor is its id."""
        person = self.model.member(membership)
        knowledge, joined = self.model.learning.knowledge, self.is_member(membership)
        moment = self.moment if joined else 0

        def result(thing: Playable) -> Object:
            course = thing.type == "COURSE"
            known = knowledge(person, thing.index, moment)
            split = thing.index % 9 if thing.index % 3 == 0 else 0
            found = {"drillable": objects.playable(thing)}
            return found | objects.practice(known, course=course, split=split)

        return named(self.drillables(group), result, lambda thing: thing.id)

    def test_results(self, group: Group, test: Playable) -> list[Object]:
        """Per member the attempts at a test."""
        drills = [thing for thing in self.drillables(group) if thing.type == "DRILL"][:3]
        found = []
        for membership in self.learners(group):
            person = self.model.member(membership)
            attempts = self.model.attempts.of(person, membership, group, test.index, self.moment)
            found.append(
                {
                    "user": objects.brief_user(person, self.moment),
                    "testResults": [objects.attempt(one, self.moment, drills) for one in attempts],
                }
            )
        return found

    # -- objectives --------------------------------------------------------------------------------------------

    def objectives(self, group: Group) -> list[Objective]:
        """The group's objectives."""
        return self.model.objectives.of(group, self.moment)

    def find_objective(self, objective_id: str) -> Objective | None:
        """An objective by its id."""
        return self.model.objectives.find(self.model.ids.read(objective_id), self.moment)

    def playables(self, objective: Objective) -> list[Playable]:
        """What an objective is about."""
        content = self.model.content
        if objective.type == "TEST":
            return [content.test(objective.group.slot, number) for number in objective.playables]
        return [content.drillable(index, self.moment) for index in objective.playables]

    def objective(self, objective: Objective) -> Object:
        """The Objective object."""
        return objects.objective(objective, self.moment, self.playables(objective))

    def evaluations(self, objective: Objective) -> Listing:
        """ObjectiveEvaluation objects of all members who have joined; the cursor is the id of the user."""
        playables, minimum = self.playables(objective), objective.norm(self.moment).minimum
        model = self.model

        def evaluation(membership: Membership) -> Object:
            person = model.member(membership)
            standing = model.objectives.evaluation(person, membership, objective, self.moment)
            return objects.evaluation(standing, objects.brief_user(person, self.moment), playables, minimum)

        def name(membership: Membership) -> str:
            return model.ids.make(*membership.reference)

        return named(self.learners(objective.group), evaluation, name)

    def events(self, objective: Objective, since: int, until: int, user: str | None = None) -> Listing:
        """What changed in an objective from ``since`` up to ``until`` (excluded) and not after the moment."""
        until = min(until, self.moment + 1)
        model = self.model
        found: list[tuple[int, str, Change, Person]] = []
        if since < until:
            for membership in model.groups.memberships(objective.group, since, until):
                if membership.joined >= until or membership.ends <= since:
                    continue
                person = model.member(membership)
                if user is not None and person.id != user:
                    continue
                for change in model.objectives.changes(person, membership, objective, until - 1):
                    if change.at >= since:
                        id_ = model.ids.opaque(objective.key, person.key, change.at, change.ok)
                        found.append((change.at, id_, change, person))
        found.sort(key=lambda one: one[:2])

        def event(one: tuple[int, str, Change, Person]) -> Object:
            return objects.event(one[2], one[1], objects.brief_user(one[3], self.moment), objective.id)

        return named(found, event, lambda one: one[1])
