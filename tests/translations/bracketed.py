"""A language whose translations stand in brackets, and what a page has outside of them."""

from __future__ import annotations

import re
from gettext import NullTranslations

from drillster_pipeline.language import Language


class Untranslated(NullTranslations):
    """What a catalog asks for a text that it does not have."""

    def gettext(self, message: str) -> str:
        raise AssertionError(f"has no translation: {message}")


class Bracketed(NullTranslations):
    """A catalog whose translations can be told from all other text."""

    def __init__(self, translations: NullTranslations) -> None:
        super().__init__()
        translations.add_fallback(Untranslated())
        self.translations = translations

    def gettext(self, message: str) -> str:
        return f"⟦{self.translations.gettext(message)}⟧"


def bracketed(code: str) -> Language:
    language = Language(code)
    language.catalog = Bracketed(language.catalog)
    return language


def untranslated(page: str, *allowed: str) -> str:
    """What has a word outside of brackets, but for the names and ids in a ``<bdi>``, and what is allowed.

    A date is allowed: its month is one word of a text that is translated.
    """
    page = re.sub(r"<style>.*?</style>|<bdi[ >].*?</bdi>", "", page, flags=re.DOTALL)
    labels = re.findall(r'aria-label="([^"]*)"', page)
    words = _outside_brackets(" ".join([re.sub(r"<[^>]*>", " ", page), *labels]))
    for one in allowed:
        words = words.replace(one, "")
    return " ".join(words.split()) if re.search(r"[a-z]{2}", words) else ""


def _outside_brackets(text: str) -> str:
    depth, found = 0, ""
    for sign in text:
        depth += (sign == "⟦") - (sign == "⟧")
        found += "" if depth or sign == "⟧" else sign
    return found
