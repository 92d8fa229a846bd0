"""Which organization Drillster, an archive and a warehouse have, so that no other one's data is put beside it.

The identity is the id that Drillster gives (resource ``organization``). Settings are none: ``self`` is whatever the
service account belongs to, and that account may be replaced. Where the organization could not be read it is not known,
and nothing is refused.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from drillster_pipeline.archive.archive import KINDS
from drillster_pipeline.archive.captures import Capture
from drillster_pipeline.errors import ContractError, Interrupted, NotFound, PermissionDenied, Refused, RequestRefused
from drillster_pipeline.resources import ORGANIZATION, Unit
from drillster_pipeline.response_shapes import Json, id_text

from .context import PipelineContext

if TYPE_CHECKING:
    from drillster_pipeline.api.client import Client

MOST_EXAMINED = 31
"""Dates of the archive, the newest, in which an organization is looked for; an object store takes requests for each."""


class Identity(NamedTuple):
    """An organization. The name is for messages alone, and not always known."""

    organization_id: str
    name: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.organization_id})" if self.name else self.organization_id


def require_organization_of_archive(context: PipelineContext, client: Client) -> Identity | None:
    """The organization that Drillster answers for, None where it does not say.

    Raises Refused where the archive has captures of another one, and what :meth:`.Client.get` raises.
    """
    from drillster_pipeline.api.client import EndpointClient

    endpoints = EndpointClient(client, organization_id=context.settings.organization_id)
    try:
        answering = _identity(endpoints.get(Unit(ORGANIZATION, {}), {}).body)
    except (PermissionDenied, NotFound, RequestRefused):
        return None
    archived = _archived(context) if answering else None
    if answering and archived and answering.organization_id != archived.organization_id:
        raise Refused(
            f"The archive {context.archive.url} has captures of the organization {archived}, and Drillster answers for "
            f"{answering}: nothing was captured. Correct the credentials, or give {answering} an archive and a "
            "warehouse of its own"
        )
    return answering


def require_organization_of_warehouse(context: PipelineContext, capture: Capture) -> None:
    """Raise Refused where the warehouse has another organization than the capture."""
    captured, loaded = _captured(capture), context.warehouse.names("organizations", is_present=True)
    if captured and loaded and captured.organization_id not in loaded:
        there = ", ".join(str(Identity(*each)) for each in loaded.items())
        raise Refused(
            f"The warehouse has the organization {there}, and the capture {context.archive.url}/{capture.ref.folder} "
            f"is of {captured}: nothing was loaded. Correct the settings of warehouse and archive, or give {captured} "
            "a warehouse of its own; if it was captured by mistake, remove that folder"
        )


def _archived(context: PipelineContext) -> Identity | None:
    """The organization of the newest capture that says it."""
    for day in context.archive.dates()[: -MOST_EXAMINED - 1 : -1]:
        for kind in KINDS:
            with suppress(ContractError, Interrupted):  # one that can't be read must not prevent another
                sealed = context.archive.newest_sealed(day, kind)
                if sealed is not None and (found := _captured(sealed)) is not None:
                    return found
    return None


def _captured(capture: Capture) -> Identity | None:
    """By its response; a capture of events has none, and notes the id alone."""
    pages = (_identity(page.body) for page in capture.pages(ORGANIZATION.resource))
    noted = capture.manifest.get("organization")
    return next((found for found in pages if found), Identity(noted) if noted else None)


def _identity(body: Json) -> Identity | None:
    if not isinstance(body, dict) or (key := id_text(body.get("id"))) is None:
        return None
    name = body.get("name")
    return Identity(key, name if isinstance(name, str) else None)
