"""The README and the generated documents say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from drillster_pipeline.cli.main import commands
from drillster_pipeline.cli.maintenance import render
from drillster_pipeline.warehouse import VIEWS

from .settings import TABLE, table

TOP = Path(__file__).parents[2]
README = (TOP / "README.md").read_text()


def test_the_page_of_settings_lists_each_with_its_default() -> None:
    page = (TOP / "docs" / "settings.md").read_text()
    assert re.findall(TABLE, page) == [table()], "run: make docs"


def test_the_readme_names_every_command_and_view_and_fits_on_four_screens() -> None:
    assert [name for name in [*commands.commands, *VIEWS] if f"`{name}`" not in README] == []
    assert len(README.splitlines()) <= 150


def test_every_page_is_found_from_the_list_of_documents() -> None:
    listed = (TOP / "docs" / "README.md").read_text()
    assert [page.name for page in (TOP / "docs").glob("*.md") if f"({page.name})" not in listed] == ["README.md"]


def test_the_commands_that_the_readme_shows_exist() -> None:
    shown = set(re.findall(r"drillster-pipeline ([a-z]+)(?= |`|\n)", README))
    assert shown <= set(commands.commands)
    assert {"check", "run", "status"} <= shown


def test_the_make_targets_that_the_readme_shows_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z-]+)", README)) <= targets


def test_the_data_dictionary_is_up_to_date() -> None:
    assert (TOP / "docs" / "data-dictionary.md").read_text() == render("markdown", "postgresql"), "run: make docs"


def test_the_sources_of_the_dbt_package_are_up_to_date() -> None:
    assert (TOP / "dbt" / "models" / "sources.yml").read_text() == render("dbt", "postgresql"), "run: make docs"


def test_links_inside_the_documents_lead_somewhere() -> None:
    for document in [TOP / "README.md", TOP / "CONTRIBUTING.md", *(TOP / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
            assert (document.parent / target).exists(), f"{document.name} links to {target}"
