"""Finds people in running text: e-mail addresses, and names that are known from the responses.

The names are looked up word by word in an index, so that a text costs the same whether the response has one person
or a hundred thousand.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from unicodedata import is_normalized, normalize
from urllib.parse import unquote

# A dot in the domain is required: "Zorg@thuis" is the name of a product. %40 is the @ of an address in a URL. It only
# begins where a run of its characters does, or a long text without spaces would be gone through from each of them.
_CHARACTERS = r"[\w.!#$%'*+^`{|}~-]"  # of those that RFC 5322 allows, without / ? = & which divide URLs
_ADDRESS = re.compile(rf"(?<!{_CHARACTERS}){_CHARACTERS}+(?:@|%40)(?:[\w-]+\.)+[^\W\d_][\w-]+", re.IGNORECASE)
_WORD = re.compile(r"[^\W_]+")
"""An underscore divides: files are called after people so."""


def has_address(text: str) -> bool:
    """Whether there may be an e-mail address in a text."""
    return "@" in text or "%40" in text


def without_addresses(text: str, mask: Callable[[str], str]) -> str:
    """The text with every e-mail address replaced; the very same object if there is none."""
    return _ADDRESS.sub(lambda match: mask(match[0]), text) if has_address(text) else text


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text as names are compared by."""
    return tuple(word.casefold() for word in _WORD.findall(normalize("NFC", text)))


def plainly(text: str) -> str:
    """A text without the encodings of URLs and HTML, its accents and their letters together."""
    return normalize("NFC", unescape(unquote(text)))


class KnownNames:
    """Names, each with what replaces it; of fewer words than ``shortest`` none is known."""

    def __init__(self, mask_address: Callable[[str], str], *, shortest: int = 1) -> None:
        self._mask_address = mask_address
        self._shortest = shortest
        self._by_words: dict[tuple[str, ...], str] = {}
        self._lengths: dict[str, set[int]] = {}
        """By the first word of a name, how many words the names have that begin with it."""
        self._whole: dict[str, str] = {}

    def add(self, name: str, replacement: str, *, unmistakable: bool = False) -> None:
        """Know a name from now on; the first replacement of a name stays.

        ``unmistakable``: however few words it has, such as the key of an HR system.
        """
        words = words_of(name)
        if len(words) < self._shortest and not unmistakable:
            return
        self._whole.setdefault(name, replacement)
        if words:
            self._by_words.setdefault(words, replacement)
            self._lengths.setdefault(words[0], set()).add(len(words))

    def masked(self, text: str, *, title: bool = False) -> str:
        """The text with every address and every known name replaced; the very same object if there is none.

        ``title``: the text names a thing (a group, a drill), where a name of one word is more likely to be that word.
        """
        text = without_addresses(text, self._mask_address)
        if not title and text in self._whole:
            return self._whole[text]
        return self.without_names(text, shortest=2 if title else 1)

    def without_names(self, text: str, *, shortest: int = 1) -> str:
        """The text with every known name of so many words replaced.

        Also where it is encoded as in a URL or in HTML, or its accents stand by themselves.
        """
        if not self._whole:
            return text
        found = self._without_names(text, shortest)
        if "%" not in found and "&" not in found and is_normalized("NFC", found):
            return found
        plain = plainly(found)
        masked = self._without_names(plain, shortest)
        return found if masked is plain else masked

    def _without_names(self, text: str, shortest: int) -> str:
        words = [(match.start(), match.end(), match[0].casefold()) for match in _WORD.finditer(text)]
        pieces = []
        done = position = 0
        while position < len(words):
            found = self._longest_at(words, position, shortest)
            if found is None:
                position += 1
                continue
            length, replacement = found
            pieces += [text[done : words[position][0]], replacement]
            position += length
            done = words[position - 1][1]
        return "".join([*pieces, text[done:]]) if pieces else text

    def _longest_at(self, words: list[tuple[int, int, str]], position: int, shortest: int) -> tuple[int, str] | None:
        """How many words from here on are a name, and what replaces them; None if none are."""
        for length in sorted(self._lengths.get(words[position][2], ()), reverse=True):
            if shortest <= length <= len(words) - position:
                replacement = self._by_words.get(tuple(word for _, _, word in words[position : position + length]))
                if replacement is not None:
                    return length, replacement
        return None
