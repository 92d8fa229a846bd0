"""`schema`: the contract of the warehouse, for people, databases and tools."""

from __future__ import annotations


def render(form: str, dialect: str, *, schema: str | None = None, database: str | None = None) -> str:
    """The contract as ``markdown``, ``ddl``, ``mermaid`` or ``dbt``.

    ``schema`` is what ``ddl`` and ``dbt`` put the tables in, ``database`` what ``dbt`` looks for them in.
    """
    from drillster_pipeline.tables import documents
    from drillster_pipeline.warehouse import CONTRACT, VIEWS, ddl

    views = tuple(VIEWS.values())
    if form == "ddl":
        return ddl(dialect, schema=schema)
    if form == "mermaid":
        return documents.entity_diagram(CONTRACT)
    if form == "dbt":
        return documents.dbt_sources(CONTRACT, views, schema=schema, database=database)
    return documents.data_dictionary(CONTRACT, views)
