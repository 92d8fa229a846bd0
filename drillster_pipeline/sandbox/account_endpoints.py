"""The organization, its accounts and its catalogs.

A handler gets the question and the parameters of its path, and returns the name of the resource (as the walk calls
it, so that shapes and faults can be chosen by it) and the answer in its documented form.
"""

from __future__ import annotations

from . import objects
from .ids import Kind
from .objects import Object
from .paging import named, turned, whole
from .problems import Problem
from .question import Answer, Question, by_id, matches, user_matches


def _own(question: Question, organization_id: str) -> None:
    if organization_id not in ("self", question.snapshot.model.id):
        raise Problem(403, "not_permitted", "No access to this organization.")


def organization(question: Question, organization_id: str = "self") -> Answer:
    """Our own organization, and no other."""
    if organization_id not in ("self", question.snapshot.model.id):
        raise Problem(404, "not_found", "The organization does not exist.")
    return "organization", question.snapshot.organization()


def accounts(question: Question, organization_id: str) -> Answer:
    """``relationType`` ADMIN is paged by index."""
    _own(question, organization_id)
    snapshot = question.snapshot
    relation = question.query.get("relationType")
    if relation not in (None, "ADMIN"):
        raise Problem(400, "invalid_relation_type", "relationType should be ADMIN, or left out.")
    listing = snapshot.accounts()
    if question.faults.shapes.cursors == "id":
        listing = snapshot.accounts_by_id(listing)
    if question.faults.shapes.accounts_order == "newest_first":
        listing = turned(listing)
    query = question.query.get("query")
    if query:
        people = [item for item in listing.all() if user_matches(query, item["account"])]
        listing = whole(people)
    elif relation == "ADMIN":
        listing = whole([snapshot.account(person) for person in snapshot.administrators()])
    items, pagination = question.cursor_page("accounts", listing)
    return "accounts", {"accounts": items, "pagination": pagination}


def organization_staff(question: Question, organization_id: str) -> Answer:
    """The administrators of the organization."""
    _own(question, organization_id)
    snapshot = question.snapshot
    users = [
        snapshot.account(person)["account"] | ({"quota": 25} if person.key % 2 else {})
        for person in snapshot.administrators()
    ]
    for user in users:
        for name in ("lastLogin", "organization", "status", "thirdPartyIds", "repertoireSize"):
            user.pop(name, None)
    items, total = question.index_page("organization_staff", whole(users), default=25)
    return "organization_staff", {"total": total, "users": items}


def license_(question: Question, organization_id: str) -> Answer:
    """The licence of published content, not of seats."""
    _own(question, organization_id)
    return "license", {"type": "CLOSED", "text": "All rights reserved.", "icon": {"url": f"{objects.ICONS}/closed.png"}}


def user(question: Question, user_id: str = "self") -> Answer:
    """The service account itself, or an account of the organization, by its id."""
    snapshot = question.snapshot
    if user_id == "self":
        user_id = snapshot.model.service_account_id
    person = snapshot.model.account(user_id, snapshot.moment)
    if person is None:
        raise Problem(404, "nonexistent_user", "The user does not exist, or is none of ours.")
    return "user", snapshot.account(person)["account"]


def third_party_ids(question: Question, user_id: str) -> Answer:
    """A bare array."""
    return "third_party_ids", user(question, user_id)[1].get("thirdPartyIds", [])


def catalogs(question: Question, organization_id: str) -> Answer:
    """Catalogs that the organization can publish to."""
    _own(question, organization_id)
    content, moment = question.snapshot.model.content, question.snapshot.moment
    numbers = content.catalogs(moment)

    def item(number: int) -> Object:
        name, _ = content.catalog_name(number, moment)
        return {"id": content.catalog_ids()[number], "name": name, "icon": objects.icon("catalog")}

    listing = named(numbers, item, lambda number: content.catalog_ids()[number])
    items, pagination = question.cursor_page("catalogs", listing)
    return "catalogs", {"catalogs": items, "pagination": pagination}


def _catalog(question: Question, catalog_id: str) -> int:
    reference = question.snapshot.model.ids.read(catalog_id)
    if reference is None or reference.kind is not Kind.CATALOG:
        raise Problem(404, "catalog_not_found", "The catalog does not exist.")
    if reference.first not in question.snapshot.model.content.catalogs(question.snapshot.moment):
        raise Problem(404, "catalog_not_found", "The catalog does not exist.")
    return reference.first


def catalog(question: Question, catalog_id: str) -> Answer:
    """A UserCatalog."""
    number = _catalog(question, catalog_id)
    name, description = question.snapshot.model.content.catalog_name(number, question.snapshot.moment)
    organization_ = {"type": "ORGANIZATION", "id": question.snapshot.model.id}
    return "catalog", {"id": catalog_id, "name": name, "description": description, "organization": organization_}


def catalog_content(question: Question, catalog_id: str) -> Answer:
    """The playables of a catalog, by name. The page prints the address of version 3."""
    number = _catalog(question, catalog_id)
    if question.faults.shapes.content_version not in ("both", question.version):
        raise Problem(404, "not_found", "There is no such resource.")
    snapshot = question.snapshot
    things = snapshot.model.content.catalog_content(number, snapshot.moment)
    if query := question.query.get("query"):
        things = [thing for thing in things if matches(query, thing.name)]
    listing = named(things, objects.playable, by_id)
    items, pagination = question.cursor_page("catalog_content", listing)
    container = {
        "id": catalog_id,
        "name": snapshot.model.content.catalog_name(number, snapshot.moment)[0],
        "icon": objects.icon("catalog"),
        "organization": {"id": snapshot.model.id, "name": snapshot.organization()["name"]},
    }
    return "catalog_content", {"playableContainer": container, "playables": items, "pagination": pagination}
