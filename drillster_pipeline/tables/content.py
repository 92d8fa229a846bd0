"""What is practiced: drills, courses and tests, and the groups and catalogs that offer them."""

from __future__ import annotations

from .schema import Column, Form, Kind, Table, integer, key, text


def _playable_type(form: Form = Form.CODE) -> Column:
    return text("type", "Kind of playable.", "type", form=form, values=("DRILL", "COURSE", "TEST"))


PLAYABLES = Table(
    name="playables",
    kind=Kind.ENTITY,
    description=(
        "Every drill, course and test that is referred to anywhere: in groups, catalogs, objectives, results and "
        "tests. A type that Drillster names somewhere wins over one that is only assumed from the place of a reference."
    ),
    key=("playable_id",),
    sources=("group_drillables",),
    secondary_sources=("catalog_content", "groups", "objectives", "results", "test_results"),
    columns=(
        key("playable_id", "Drillster's id of the drill, course or test.", "id"),
        _playable_type(),
        text("name", "Name.", "name", form=Form.STRICT_TEXT, prose=True),
    ),
)

CATALOGS = Table(
    name="catalogs",
    kind=Kind.ENTITY,
    description="The catalogs that the organization can publish to.",
    key=("catalog_id",),
    sources=("catalogs",),
    secondary_sources=("catalog_content",),
    scopes={"catalog": "catalog | @"},
    counts="pagination.total",
    columns=(
        key("catalog_id", "Drillster's id of the catalog.", "{catalog_id} | catalog.id"),
        text("name", "Name of the catalog.", "catalog.name", prose=True),
        text("description", "Description of the catalog.", "catalog.description", prose=True),
        # Not a foreign key: a catalog may be another organization's.
        text(
            "organization_id",
            "The organization whose catalog it is.",
            "catalog.organization.id",
            form=Form.ID,
            joins="organizations.organization_id",
        ),
        integer(
            "playable_count",
            "How many playables it has, as Drillster counts them.",
            "catalog_content: pagination.total",
        ),
    ),
)

CATALOG_PLAYABLES = Table(
    name="catalog_playables",
    kind=Kind.ENTITY,
    description="The drills, courses and tests of a catalog.",
    key=("catalog_id", "playable_id"),
    sources=("catalog_content",),
    counts="catalogs.playable_count",
    columns=(
        key("catalog_id", "The catalog.", "{catalog_id}", references="catalogs.catalog_id"),
        key("playable_id", "The drill, course or test.", "id", references="playables.playable_id"),
        _playable_type(),
    ),
)

GROUP_PLAYABLES = Table(
    name="group_playables",
    kind=Kind.ENTITY,
    description="The drills, courses and tests of a group.",
    key=("group_id", "playable_id"),
    sources=("group_drillables", "groups"),
    group_path="group_id",
    counts="groups.drillable_count + groups.test_count",
    columns=(
        key("group_id", "The group.", "{group_id}", references="groups.group_id"),
        key("playable_id", "The drill, course or test.", "id", references="playables.playable_id"),
        _playable_type(),
    ),
)
