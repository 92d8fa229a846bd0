"""The table of docs/settings.md."""

from __future__ import annotations

from drillster_pipeline.settings import SETTINGS

TABLE = r"(?<=<!-- settings -->\n)[^<]*(?=<!-- /settings -->)"
"""Where it stands in the page."""


def table() -> str:
    """Each setting with its default."""
    return "".join(
        f"| `{setting.name}` | {f'`{setting.default}`' if setting.default else ''} | {setting.meaning} |\n"
        for setting in SETTINGS
    )
