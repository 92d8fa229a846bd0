"""What people read in the language of their organization: texts by gettext catalogs, dates and numbers.

English stands in the code; ``locale/<code>/LC_MESSAGES/`` has the rest. A text is marked where it is written, so that
`make docs` finds it, and translated where the language is known, which is that of the settings::

    language = context.language
    title = language.translated("The backfill %(id)s failed", id=backfill_id)

A constant is marked, and translated when it is used; a template has ``{% trans %}``, ``_()`` and ``| translated``::

    TITLE = marked("People overdue")
    language.translated(TITLE)

Only a literal text is found: neither an f-string nor a variable. Names (tables, columns, settings, commands), errors
and logs are not translated.
"""

from __future__ import annotations

import gettext
from datetime import UTC, date, datetime
from pathlib import Path

DOMAIN = "drillster_pipeline"
CATALOGS = Path(__file__).with_name("locale")


def marked(text: str) -> str:
    """The text itself: it is translated later."""
    return text


class Language:
    """One language by its code of ISO 639-1. There is no current one: organizations of one process may differ."""

    def __init__(self, code: str = "en") -> None:
        self.code = code
        self.catalog = gettext.translation(DOMAIN, CATALOGS, [code], fallback=code == "en")

    def translated(self, text: str, **values: object) -> str:
        """The text in this language; with values for ``%(name)s``, where a percent sign is doubled."""
        found = text and self.catalog.gettext(text)  # the translation of nothing is the head of the catalog
        return found % values if values else found

    def number(self, value: float | None) -> str:
        """``12,345``, rounded; ``-`` where it is not known."""
        # Translators: between thousands
        return "-" if value is None else f"{value:,.0f}".replace(",", self.translated(","))

    def percent(self, value: float | None) -> str:
        """``75 %``, rounded; ``-`` where it is not known."""
        return "-" if value is None else self.translated("%(number)s %%", number=self.number(value))

    def numeric_day(self, day: date) -> str:
        """``2026-06-09``, for tables and messages."""
        # Translators: for strftime, in numbers alone
        return day.strftime(self.translated("%Y-%m-%d"))

    def day(self, day: date) -> str:
        """``9 June 2026``, for sentences."""
        months = self.translated(
            "January February March April May June July August September October November December"
        )
        return f"{day.day} {months.split()[day.month - 1]} {day.year}"

    def short_day(self, day: date) -> str:
        """``9 Jun``, for axes."""
        months = self.translated("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
        return f"{day.day} {months.split()[day.month - 1]}"

    def moment(self, moment: datetime | None) -> str:
        """``2026-06-10 00:31 UTC``; ``unknown`` where it is not known."""
        if moment is None:
            return self.translated("unknown")
        moment = moment.astimezone(UTC)
        return f"{self.numeric_day(moment)} {moment:%H:%M} UTC"
