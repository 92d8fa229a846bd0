"""The texts that the package marks for translation, and its catalogs."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from drillster_pipeline.dashboards import archive, connection_url
from drillster_pipeline.language import CATALOGS, DOMAIN, Language
from drillster_pipeline.report.disclosure import label
from drillster_pipeline.resources import RESOURCES
from drillster_pipeline.warehouse import CONTRACT

FILES = tuple(CATALOGS.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))
_METHODS = [("**.py", "python"), ("**.j2", "jinja2.ext:babel_extract")]
_KEYWORDS = {**DEFAULT_KEYWORDS, "translated": None, "marked": None}


def marked_texts() -> Catalog:
    """Every text that is marked, with the files that it stands in."""
    found = Catalog(project=DOMAIN)
    package = CATALOGS.parent
    options = {"**.j2": {"silent": "false", "trimmed": "true"}}
    for file, _, text, comments, _ in extract_from_dir(package, _METHODS, options, _KEYWORDS, ["Translators:"]):
        found.add(text, locations=[(f"{package.name}/{file}", 0)], auto_comments=comments)
    for text in _texts_of_the_contract():
        found.add(text, locations=[(f"{package.name}/tables", 0)])
    for text in _texts_of_dashboards():
        found.add(text, locations=[(f"{package.name}/dashboards", 0)])
    return found


def _texts_of_dashboards() -> list[str]:
    """What the dashboards ask a translation of: their texts are in YAML and in names of columns."""
    asked: list[str] = []

    class Asked(Language):
        def translated(self, text: str, **_values: object) -> str:
            asked.append(text)
            return text

    archive(connection_url("postgresql://h/d"), language=Asked())
    return asked


def _texts_of_the_contract() -> Iterator[str]:
    """What a disclosure shows of tables: the names of all that have something of a person, and more of rows."""
    yield from map(label, RESOURCES)
    for table in CONTRACT.values():
        names = {column.name for column in table.columns}
        if names & {"account_id", "test_result_id"} or table.name in {"rejected_rows", "load_exceptions"}:
            yield from (label(table.name), table.description, *(label(column.name) for column in table.columns))
        elif any(column.prose for column in table.columns):
            shown = (column.name for column in table.columns if column.prose or column.name in table.key)
            yield from map(label, (table.name, *shown))


def catalog(path: Path) -> Catalog:
    """The catalog of a ``.po`` file."""
    with path.open("rb") as file:
        return read_po(file, locale=path.parts[-3])


def compiled(found: Catalog) -> bytes:
    """The ``.mo`` file of a catalog."""
    file = io.BytesIO()
    write_mo(file, found)
    return file.getvalue()


def update(path: Path) -> None:
    """Add to a ``.po`` file the texts that are new, empty, and remove those that are gone; then compile it."""
    found = catalog(path)
    found.update(marked_texts(), no_fuzzy_matching=True, update_creation_date=False)
    with path.open("wb") as file:
        write_po(file, found, width=120, sort_by_file=True, ignore_obsolete=True, include_lineno=False)
    path.with_suffix(".mo").write_bytes(compiled(found))
