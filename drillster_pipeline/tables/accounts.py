"""People: everyone that any other table refers to, and the keys by which other systems know them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from drillster_pipeline.extract.merged import Merged
from drillster_pipeline.extract.values import identity, inner, login_moment, misfit

from .schema import Column, Kind, Table, Type, boolean, integer, key, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

ACCOUNTS = Table(
    name="accounts",
    kind=Kind.ENTITY,
    description=(
        "Everyone that any other table refers to: the accounts that the organization lists, and people of other "
        "organizations that only its groups, results or events know."
    ),
    key=("account_id",),
    sources=("accounts",),
    secondary_sources=(
        "group_members",
        "group_staff",
        "objective_evaluations",
        "results",
        "test_results",
        "objective_events",
    ),
    counts="pagination.total",
    columns=(
        key("account_id", "Drillster's id of the account.", source="accounts: account.id"),
        text("name", "Full name, one field.", source="accounts: account.name", personal=True),
        text("email_address", "E-mail address.", source="accounts: account.emailAddress", personal=True),
        text("locale", "Language, ISO 639-1, such as 'nl' or 'en_GB'.", source="accounts: account.locale"),
        text("domicile", "Country, ISO 3166-1, upper case.", source="accounts: account.domicile"),
        text("time_zone", "IANA time zone, such as 'Europe/Amsterdam'.", source="accounts: account.timeZone"),
        Column(
            name="year_of_birth",
            type=Type.SMALLINT,
            personal=True,
            description="Year of birth.",
            source="accounts: account.yearOfBirth",
        ),
        text("status", "State of the account, such as 'ACTIVE'.", source="accounts: account.status"),
        boolean(
            "is_managed",
            "True: the organization lists this account. False: a person of another organization. "
            "NULL: only met in passing, while the list could not be read whole, so not known.",
            source="accounts: account.id",
        ),
        boolean(
            "is_admin",
            "Whether the account is staff of the organization; NULL for people of other organizations.",
            source="accounts: relationTypes",
        ),
        integer(
            "repertoire_size",
            "How many drills and courses the person has.",
            source="accounts: account.repertoireSize",
        ),
        # Not a foreign key: the person may belong to an organization that we cannot read.
        text(
            "organization_id",
            "The organization that the account belongs to.",
            source="accounts: account.organization.id",
            joins="organizations.organization_id",
        ),
        timestamp("created_at", "When the account was made.", source="accounts: account.created"),
        timestamp("last_login_at", "Last time the person logged in.", source="accounts: account.lastLogin"),
    ),
)

ACCOUNT_EXTERNAL_IDS = Table(
    name="account_external_ids",
    kind=Kind.ENTITY,
    description="The keys by which other systems (HR, LMS) know an account that the organization lists.",
    key=("account_id", "third_party", "external_id"),
    sources=("accounts",),
    columns=(
        key(
            "account_id",
            "The account.",
            references="accounts.account_id",
            source="accounts: account.id",
        ),
        text(
            "third_party",
            "Drillster's code of the other system.",
            source="accounts: account.thirdPartyIds[].thirdParty",
            nullable=False,
        ),
        text(
            "external_id",
            "The key of the person in that system.",
            source="accounts: account.thirdPartyIds[].id",
            personal=True,
            nullable=False,
        ),
    ),
)


class People:
    """Who the organization lists, and what is said of those whom it does not list.

    The list wins whole for the people on it. Others are put together from all that names them, in the order of
    the walk (members, staff, evaluations, results, tests, events): a later resource only adds what is missing.
    """

    def __init__(self) -> None:
        self.listed: set[str] = set()
        self.is_list_read = False
        self.has_list_holes = False
        """Somebody on the list was not read, so whoever seems not to be on it may be all the same."""
        self.unlisted = Merged()

    def mention(self, user: Any) -> Any:
        """Note a person in passing (an object User, whole or reduced to its id); returns the id."""
        user = inner(user)
        account_id = identity(user.get("id"))
        if type(account_id) is str and account_id not in self.listed:
            self.unlisted.add(account_id, *_details(user))
        return account_id

    def others(self) -> Iterator[tuple[Any, ...]]:
        """Rows of the people whom the organization does not list; whether it does is NULL if the list has holes."""
        is_managed = False if self.is_list_read and not self.has_list_holes else None
        for account_id, *details in self.unlisted.rows():
            if account_id not in self.listed:
                yield (account_id, *details[:7], is_managed, None, *details[7:])


def _details(user: dict[str, Any]) -> tuple[Any, ...]:
    name = user.get("name")
    return (
        user.get("realName") if name is None else name,
        user.get("emailAddress"),
        user.get("locale"),
        user.get("domicile"),
        user.get("timeZone"),
        user.get("yearOfBirth"),
        user.get("status"),
        user.get("repertoireSize"),
        identity(inner(user.get("organization")).get("id")),
        user.get("created"),
        login_moment(user.get("lastLogin")),
    )


def read_accounts(page: Page, found: Findings) -> None:
    """Items are ``{account, relationTypes}`` or bare Users; a service account has type, id and name only."""
    people, rows, external_ids = found.people, found.rows["accounts"], found.rows["account_external_ids"]
    people.is_list_read = True
    read = 0
    items = found.items("accounts", page)
    for item in found.objects("accounts", items, "accounts"):
        user = item if item.get("account") is None else inner(item["account"])
        account_id = identity(user.get("id"))
        details = _details(user)
        rows.append((account_id, *details[:7], True, _is_admin(item.get("relationTypes")), *details[7:]))
        if type(account_id) is not str:
            continue
        read += 1
        people.listed.add(account_id)
        external_ids.extend(
            (account_id, identity(external.get("thirdParty")), identity(external.get("id")))
            for external in found.objects("account_external_ids", user.get("thirdPartyIds"), "thirdPartyIds")
        )
    people.has_list_holes = people.has_list_holes or read < len(items)


def _is_admin(relation_types: Any) -> Any:
    if relation_types is None:
        return None
    return "ADMIN" in relation_types if type(relation_types) is list else misfit("a list", relation_types)
