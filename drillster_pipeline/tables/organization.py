"""The organization itself: one row, from ``GET organization`` (object Organization)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drillster_pipeline.extract.values import identity, inner

from .schema import Kind, Table, integer, key, text, timestamp

if TYPE_CHECKING:
    from drillster_pipeline.extract.batches import Page
    from drillster_pipeline.extract.state import Findings

ORGANIZATIONS = Table(
    name="organizations",
    kind=Kind.ENTITY,
    description="The organization that the service account belongs to, with its contract.",
    key=("organization_id",),
    sources=("organization",),
    columns=(
        key("organization_id", "Drillster's id of the organization.", source="organization: id"),
        text("name", "Name of the organization.", source="organization: name", prose=True),
        text("email_address", "General e-mail address.", source="organization: emailAddress", prose=True),
        text("locale", "Language, ISO 639-1, such as 'nl' or 'en_GB'.", source="organization: locale"),
        text("domicile", "Country, ISO 3166-1, upper case.", source="organization: domicile"),
        text(
            "contract_type",
            "What the contract is for.",
            source="organization: contract.type",
            values=("BUSINESS", "EDUCATION"),
        ),
        timestamp("contract_created_at", "When the contract was made.", source="organization: contract.created"),
        timestamp("contract_expires_at", "When the contract ends.", source="organization: contract.expires"),
        integer(
            "group_member_quota",
            "How many group members the contract allows; NULL: no limit was named.",
            source="organization: groupMemberQuota",
        ),
        text("privacy_location", "Where Drillster keeps the data.", source="organization: privacyLocation"),
    ),
)


def read_organization(page: Page, found: Findings) -> None:
    """One answer, one row."""
    for body in found.objects("organizations", [page.body], "organization"):
        contract = inner(body.get("contract"))
        found.rows["organizations"].append(
            (
                identity(body.get("id")),
                body.get("name"),
                body.get("emailAddress"),
                body.get("locale"),
                body.get("domicile"),
                contract.get("type"),
                contract.get("created"),
                contract.get("expires"),
                body.get("groupMemberQuota"),
                body.get("privacyLocation"),
            )
        )
