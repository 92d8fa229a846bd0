"""The organization and its people: accounts, groups, their members and staff."""

from __future__ import annotations

from .schema import Column, Form, Type, boolean, entity, integer, key, text, timestamp

ORGANIZATIONS = entity(
    "organizations",
    "The organization that the service account belongs to, with its contract.",
    key("organization_id", "Drillster's id of the organization.", "id"),
    text("name", "Name of the organization.", "name", prose=True),
    text("email_address", "General e-mail address.", "emailAddress", prose=True),
    text("locale", "Language, ISO 639-1, such as 'nl' or 'en_GB'.", "locale"),
    text("domicile", "Country, ISO 3166-1, upper case.", "domicile"),
    text("contract_type", "What the contract is for.", "contract.type", values=("BUSINESS", "EDUCATION")),
    timestamp("contract_created_at", "When the contract was made.", "contract.created"),
    timestamp("contract_expires_at", "When the contract ends.", "contract.expires"),
    integer(
        "group_member_quota",
        "How many group members the contract allows; NULL: no limit was named.",
        "groupMemberQuota",
    ),
    text("privacy_location", "Where Drillster keeps the data.", "privacyLocation"),
    sources=("organization",),
)

ACCOUNTS = entity(
    "accounts",
    (
        "Everyone that any other table refers to: the accounts that the organization lists, and people of other "
        "organizations that only its groups, results or events know."
    ),
    key("account_id", "Drillster's id of the account.", "account.id"),
    text("name", "Full name, one field.", "account.name | account.realName", personal=True),
    text("email_address", "E-mail address.", "account.emailAddress", personal=True),
    text("locale", "Language, ISO 639-1, such as 'nl' or 'en_GB'.", "account.locale"),
    text("domicile", "Country, ISO 3166-1, upper case.", "account.domicile"),
    text("time_zone", "IANA time zone, such as 'Europe/Amsterdam'.", "account.timeZone"),
    Column(Type.SMALLINT, "year_of_birth", "Year of birth.", "account.yearOfBirth", personal=True),
    text("status", "State of the account, such as 'ACTIVE'.", "account.status"),
    boolean(
        "is_managed",
        "True: the organization lists this account. False: a person of another organization. "
        "NULL: only referred to, while the list could not be read completely, so not known.",
        "account.id",
    ),
    boolean(
        "is_admin",
        "Whether the account is staff of the organization; NULL for people of other organizations.",
        "relationTypes",
    ),
    integer("repertoire_size", "How many drills and courses the person has.", "account.repertoireSize"),
    # Not a foreign key: the person may belong to an organization that we cannot read.
    text(
        "organization_id",
        "The organization that the account belongs to.",
        "account.organization.id",
        form=Form.ID,
        joins="organizations.organization_id",
    ),
    timestamp("created_at", "When the account was made.", "account.created"),
    timestamp("last_login_at", "Last time the person logged in.", "account.lastLogin", form=Form.LOGIN),
    secondary_sources=(
        "group_members",
        "group_staff",
        "objective_evaluations",
        "results",
        "test_results",
        "objective_events",
    ),
    scopes={"account": "account | @"},
    counts="pagination.total",
)

ACCOUNT_EXTERNAL_IDS = entity(
    "account_external_ids",
    "The keys by which other systems (HR, LMS) know an account that the organization lists.",
    key("account_id", "The account.", "accounts: accounts[].account.id", references="accounts.account_id"),
    key("third_party", "Drillster's code of the other system.", "thirdParty"),
    key("external_id", "The key of the person in that system.", "id", personal=True),
    sources=("accounts",),
    inside="account.thirdPartyIds[]",
)

GROUPS = entity(
    "groups",
    "Every group that the service account may see. The counts are Drillster's own.",
    key("group_id", "Drillster's id of the group.", "{group_id} | id"),
    text("name", "Name of the group.", "name", prose=True),
    text("description", "Description of the group.", "description", prose=True),
    text("custom_reference", "The organization's own reference of the group.", "customReference", prose=True),
    integer("member_count", "Members, as Drillster counts them.", "counts.members"),
    integer("drillable_count", "Drills and courses, as Drillster counts them.", "counts.drillables"),
    integer("test_count", "Tests, as Drillster counts them.", "counts.tests"),
    boolean("is_sensitive", "Whether the group is marked as having sensitive content.", "sensitiveContent"),
    timestamp("created_at", "When the group was made.", "created"),
    timestamp("last_edited_at", "When the group was last changed.", "lastEdited"),
    counts="pagination.total",
)

GROUP_MEMBERS = entity(
    "group_members",
    "Who is in a group, or invited to it.",
    key("group_id", "The group.", "{group_id}", references="groups.group_id"),
    text(
        "member_key",
        "The account id; for an invitee without an account 'invitee:' and the first 32 hex digits of SHA-256 "
        "of the lower-case e-mail address.",
        "member.id",
        in_key=True,
        personal=True,
        nullable=False,
    ),
    text("account_id", "The account; NULL for an invitee who has none.", "member.id", references="accounts.account_id"),
    text("name", "Name, as the group knows it.", "member.name | member.realName", personal=True),
    text("email_address", "E-mail address, as the group knows it.", "member.emailAddress", personal=True),
    text(
        "status",
        "What Drillster says, in upper case. Where it says nothing: INVITED for an entry without a date of "
        "joining, unless the group has no invitees; otherwise MEMBER.",
        "status",
        nullable=False,
    ),
    timestamp("joined_at", "When the person joined.", "joined"),
    timestamp("invited_at", "When the person was invited.", "invited"),
    scopes={"member": "member | @"},
    counts="groups.member_count",
)

GROUP_STAFF = entity(
    "group_staff",
    "Who manages a group, or may look into it.",
    key("group_id", "The group.", "{group_id}", references="groups.group_id"),
    key("account_id", "The member of staff.", "user.id", references="accounts.account_id"),
    text(
        "permission", "What the person may do with the group.", "permission", form=Form.CODE, values=("MANAGE", "VIEW")
    ),
)
