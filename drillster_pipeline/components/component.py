"""The Dagster component: one organization, declared in a ``defs.yaml``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import time
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

import dagster as dg
import sqlalchemy as sa
from dagster.components.utils.translation import TranslationFn, TranslationFnResolver
from pydantic import Field, PrivateAttr, SecretStr, create_model

from drillster_pipeline.orchestration.dbt import dbt_definitions
from drillster_pipeline.orchestration.definitions import definitions_of
from drillster_pipeline.orchestration.names import AssetProps, Names
from drillster_pipeline.orchestration.specs import REPORT, qualified_name
from drillster_pipeline.organization import Organization
from drillster_pipeline.settings import CREDENTIALS, PREFIX, Settings
from drillster_pipeline.tables import DATA_TABLES

from .definitions import checked_name, checked_prefix, checked_tables

_T = TypeVar("_T")
_REPORTED_BY_RUNS = {*CREDENTIALS, "private_key_file", "pseudonym_key"}


class TemplateValue(SecretStr):
    """What a template came to: it may differ where the file is loaded and where runs are, a value of the file not."""


def _text(setting: str, value: Any) -> str:
    """A value of YAML as the environment would have it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value))
    if isinstance(value, int) and setting == "nightly_at":  # YAML 1.1 takes 12:30 for a number of base 60
        return "{:02}:{:02}".format(*divmod(value, 60))
    return str(value)


def _attribute(setting: str, field: Any) -> tuple[Any, Any]:
    """The attribute of a setting: a value of YAML that is a text in the end, and never shown."""

    def resolve(context: dg.ResolutionContext, value: Any) -> SecretStr:
        resolved = context.resolve_value(value)
        text = "" if resolved is None else _text(setting, resolved)
        return TemplateValue(text) if "{{" in str(value) else SecretStr(text)

    resolver = dg.Resolver(
        resolve, model_field_type=str | bool | int | float | list[str] | None, inject_before_resolve=False
    )
    return Annotated[SecretStr | None, resolver], Field(None, description=field.description)


_SettingAttributes: Any = create_model(
    "_SettingAttributes",
    __base__=dg.Model,
    # Its overloads do not foresee fields that are computed.
    **{name: _attribute(name, field) for name, field in Settings.model_fields.items()},  # type: ignore[call-overload]
)


class DrillsterScaffolder(dg.Scaffolder[Any]):
    """Writes a ``defs.yaml`` that takes the credentials from the environment."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Write it; organization and variables have the name of the folder, as far as that can be one."""
        folder = request.target_path.name
        name = re.sub(r"\W", "_", re.sub(r"^(?![A-Za-z])", "organization_", folder), flags=re.ASCII)
        attributes = {} if name == folder else {"name": name}
        attributes |= {each: f"{{{{ env.{f'{name}_{each}'.upper()} }}}}" for each in CREDENTIALS}
        attributes |= {
            "warehouse_url": f"sqlite:///data/{name}/warehouse.sqlite",
            "archive_url": f"data/{name}/archive",
            "reports_folder": f"data/{name}/reports",
        }
        dg.scaffold_component(request, attributes)


@dg.scaffold_with(DrillsterScaffolder)
class DrillsterComponent(_SettingAttributes, dg.Component, dg.Resolvable):  # type: ignore[misc]  # a computed base
    """One organization of Drillster, exported into a SQL warehouse every night."""

    name: str | None = Field(
        None, description="Name of the organization in this instance; by default that of its folder."
    )
    key_prefix: str | None = Field(
        None, description="What precedes the keys of all assets, with / between parts; by default the name."
    )
    group_name: str | None = Field(None, description="Group of all assets; by default the name.")
    tags: dict[str, str] = Field({}, description="Tags of all assets and runs.")
    schedule: bool = Field(True, description="Whether there are schedules.")
    select: list[str] | None = Field(None, description="The tables that are loaded; by default all.")
    dbt: bool = Field(False, description="Whether dbt builds its models from the tables after each publish.")
    translation: (
        Annotated[TranslationFn[AssetProps], TranslationFnResolver[AssetProps](lambda props: {"asset": props})] | None
    ) = Field(None, description="Changes assets: key, group, tags …, with {{ asset.folder }}, {{ asset.name }} in it.")
    _file: Path | None = PrivateAttr(None)

    @classmethod
    def load(cls, attributes: Any, context: dg.ComponentLoadContext) -> Self:
        """An instance of a file, which the folder names unless an attribute does."""
        component: Self = super().load(attributes, context)
        component._file = context.path if context.path.is_file() else context.path / "defs.yaml"
        return component

    @cached_property
    def names(self) -> Names:
        """What it is called, and where its settings are. Raises DagsterInvalidDefinitionError, with file and line."""
        given = {each: value for each in Settings.model_fields if (value := getattr(self, each)) is not None}
        name = self._checked("name", checked_name, self.name or (self._file.parent.name if self._file else ""))
        organization = Organization(
            name=name,
            values={PREFIX + each.upper(): value.get_secret_value() for each, value in given.items()},
            empty=frozenset(each for each, value in given.items() if not value),
            where=str(self._file or "its attributes"),
            tables=self._checked("select", checked_tables, DATA_TABLES if self.select is None else self.select),
        )
        names = Names(
            organization,
            key_prefix=self._checked("key_prefix", checked_prefix, (self.key_prefix or name).split("/")),
            group_name=self.group_name or name,
            tags=self.tags,
            translation=self.translation,
        )
        self._checked("attributes", names.key, REPORT)  # a group, a tag or a translation that Dagster does not take
        return names

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of the organization. Raises DagsterInvalidDefinitionError, with file and line."""
        everyone = organizations_of(context.component_tree)
        self._require_right_values()
        definitions = definitions_of(
            self.names,
            schedule=self.schedule,
            minutes_later=self._minutes_later(everyone),
            watches_all=self is everyone[0],
        )
        return (
            dg.Definitions.merge(definitions, self._checked("dbt", dbt_definitions, self.names))
            if self.dbt
            else definitions
        )

    def _checked(self, attribute: str, check: Callable[[Any], _T], value: Any) -> _T:
        try:
            return check(value)
        except (ValueError, dg.DagsterInvalidDefinitionError) as mistake:
            raise self._invalid(attribute, str(mistake)) from None

    def _invalid(self, attribute: str, problem: str) -> dg.DagsterInvalidDefinitionError:
        return dg.DagsterInvalidDefinitionError(f"{self._line_of(attribute)}: {problem}")

    def _require_right_values(self) -> None:
        """Raise DagsterInvalidDefinitionError for a wrong value of the file.

        A credential that is wrong or missing, and what a template came to, is reported by the organization's runs.
        """
        _, mistakes = self.names.organization.read()
        for mistake in mistakes:
            attribute = mistake.partition(" ")[0]
            if attribute not in _REPORTED_BY_RUNS and not isinstance(getattr(self, attribute), TemplateValue):
                raise self._invalid(attribute, mistake)

    def require_other_places(self, other: DrillsterComponent) -> None:
        """Raise DagsterInvalidDefinitionError where two organizations would write to one place."""
        for attribute, place in self.places.items():
            if place == other.places.get(attribute):
                names = " and ".join(each.names.organization.name for each in (self, other))
                raise self._invalid(
                    attribute,
                    f"the organizations {names} have the same {attribute} (the other is at "
                    f"{other._line_of(attribute)}): give each one of its own",
                )

    @cached_property
    def places(self) -> dict[str, Any]:
        """What no other organization may have, by the attribute that says it; without what is not known."""
        names = self.names
        settings, mistakes = names.organization.read()
        wrong = {mistake.partition(" ")[0] for mistake in mistakes}
        found = {
            "name": names.organization.name,
            "key_prefix": names.key(REPORT),
            "warehouse_schema": _warehouse_place(settings),
            "archive_url": _folder(settings.archive_url),
            "reports_folder": _folder(settings.reports_folder),
        }
        if "warehouse_url" in wrong:
            del found["warehouse_schema"]
        return {attribute: place for attribute, place in found.items() if attribute not in wrong}

    def _minutes_later(self, everyone: Sequence[DrillsterComponent]) -> int:
        """How long after its time the schedule begins, so that those of one time begin a minute after each other."""
        at_our_time = [each.names.organization.name for each in everyone if each.starts_at == self.starts_at]
        return sorted(at_our_time).index(self.names.organization.name) % 60

    @cached_property
    def starts_at(self) -> tuple[time, str]:
        """When the settings let the schedule begin: time of day and time zone."""
        settings, _ = self.names.organization.read()
        return settings.nightly_at, settings.timezone.key

    def _line_of(self, attribute: str) -> str:
        """Where an attribute is, as ``file:line``."""
        if self._file is None:
            return "an instance made in Python"
        lines = self._file.read_text(encoding="utf-8").splitlines()
        found = (number for number, line in enumerate(lines, 1) if re.match(rf"\s*{attribute}\s*:", line))
        return f"{self._file}:{next(found, 1)}"


_projects: list[tuple[dg.ComponentTree, Sequence[DrillsterComponent]]] = []
"""The project that was loaded last, with its organizations."""


def organizations_of(project: dg.ComponentTree) -> Sequence[DrillsterComponent]:
    """The organizations that a project declares.

    Raises DagsterInvalidDefinitionError, with file and line, where two of them would write to one place.
    """
    # Found once, as Dagster goes through the whole project for it; by identity, as two loads of a project are equal.
    if not _projects or _projects[0][0] is not project:
        found = project.get_all_components(DrillsterComponent)
        for one, other in combinations(found, 2):
            one.require_other_places(other)
        _projects[:] = [(project, found)]
    return _projects[0][1]


def _folder(url: SecretStr) -> str | Path:
    """Where an archive or reports are."""
    text = url.get_secret_value()
    return text if "://" in text else Path(text).absolute()


def _warehouse_place(settings: Settings) -> Any:
    """Where the tables are, without credentials."""
    url = sa.make_url(settings.warehouse_url.get_secret_value())
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "").absolute()
    return (url.host, url.port, qualified_name("", settings))
