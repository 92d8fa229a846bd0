"""One organization: what it is called in this instance, where its settings come from, and what is loaded of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .settings import PREFIX, Settings, complaints, environment, raise_complaints, read_settings
from .tables import DATA_TABLES


@dataclass(frozen=True, kw_only=True)
class Organization:
    """Without arguments: the only organization of the instance, with the settings of the environment and ``.env``."""

    name: str = ""
    """Empty where it is the only one."""
    values: Mapping[str, str] | None = field(default=None, repr=False)
    """Its settings as text, by the names of the environment; None: those of the environment and ``.env``."""
    empty: frozenset[str] = frozenset()
    """Settings that were to have a value and have none, as where a variable of the environment is not set."""
    settings: Settings | None = field(default=None, repr=False)
    """Or the settings themselves."""
    where: str = "the environment or in .env"
    """Where its settings are put right, for messages."""
    tables: tuple[str, ...] = tuple(DATA_TABLES)
    """The tables that are loaded, parents before children."""

    def environ(self) -> Mapping[str, str]:
        """Its settings as text, by the names of the environment."""
        return environment() if self.values is None else self.values

    def read(self, *, needs_api: bool = False) -> tuple[Settings, tuple[str, ...]]:
        """The settings as they are now, and the mistakes; see :func:`drillster_pipeline.settings.read_settings`."""
        if self.settings is not None:
            return self.settings, complaints(self.settings, needs_api=needs_api)
        settings, mistakes = read_settings(self.environ(), needs_api=needs_api, empty=self.empty)
        if self.values is None:
            return settings, mistakes
        # Their author knows them by the names of attributes.
        return settings, tuple(re.sub(rf"{PREFIX}([A-Z_]+)", lambda found: found[1].lower(), each) for each in mistakes)

    def load(self, *, needs_api: bool = True) -> Settings:
        """The settings as they are now. Raises SettingsError, whose message lists every mistake with its cure."""
        settings, mistakes = self.read(needs_api=needs_api)
        raise_complaints(mistakes, self.where if self.settings is None else "the settings that build_defs was given")
        return settings
