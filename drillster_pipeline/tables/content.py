"""What is practiced: drills, courses and tests, and the groups and catalogs that offer them."""

from __future__ import annotations

from .schema import Column, Form, entity, integer, key, text


def _playable_type(form: Form = Form.CODE) -> Column:
    return text("type", "Kind of playable.", "type", form=form, values=("DRILL", "COURSE", "TEST"))


PLAYABLES = entity(
    "playables",
    (
        "Every drill, course and test that is referred to anywhere: in groups, catalogs, objectives, results and "
        "tests. A type that Drillster names somewhere wins over one that is only assumed from the place of a reference."
    ),
    key("playable_id", "Drillster's id of the drill, course or test.", "id"),
    _playable_type(),
    text("name", "Name.", "name", form=Form.STRICT_TEXT, prose=True),
    sources=("group_drillables",),
    secondary_sources=("catalog_content", "groups", "objectives", "results", "test_results"),
)

CATALOGS = entity(
    "catalogs",
    "The catalogs that the organization can publish to.",
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
        "playable_count", "How many playables it has, as Drillster counts them.", "catalog_content: pagination.total"
    ),
    secondary_sources=("catalog_content",),
    scopes={"catalog": "catalog | @"},
    counts="pagination.total",
)

CATALOG_PLAYABLES = entity(
    "catalog_playables",
    "The drills, courses and tests of a catalog.",
    key("catalog_id", "The catalog.", "{catalog_id}", references="catalogs.catalog_id"),
    key("playable_id", "The drill, course or test.", "id", references="playables.playable_id"),
    _playable_type(),
    sources=("catalog_content",),
    counts="catalogs.playable_count",
)

GROUP_PLAYABLES = entity(
    "group_playables",
    "The drills, courses and tests of a group.",
    key("group_id", "The group.", "{group_id}", references="groups.group_id"),
    key("playable_id", "The drill, course or test.", "id", references="playables.playable_id"),
    _playable_type(),
    sources=("group_drillables", "groups"),
    counts="groups.drillable_count + groups.test_count",
)
