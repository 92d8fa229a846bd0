"""`schema`: the contract of the warehouse, for people, databases and tools."""

from __future__ import annotations


def render(form: str, dialect: str) -> str:
    """The contract as ``markdown``, ``ddl``, ``mermaid`` or ``dbt``."""
    from drillster_pipeline.tables import documents
    from drillster_pipeline.warehouse import CONTRACT, VIEWS, ddl

    if form == "ddl":
        return ddl(dialect)
    if form == "mermaid":
        return documents.entity_diagram(CONTRACT)
    if form == "dbt":
        return documents.dbt_sources(CONTRACT)
    return documents.data_dictionary(CONTRACT, tuple(VIEWS.values()))
