"""Finds people in running text: e-mail addresses, and names that are known from the same answer.

The names are looked up word by word in an index, so that a text costs the same whether the answer holds one person
or a hundred thousand.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# A dot in the domain is asked for: "Zorg@thuis" is the name of a product. %40 is the @ of an address in a URL.
_ADDRESS = re.compile(r"[\w.!#$&'*+/=?^`{|}~-]+(?:@|%40)(?:[\w-]+\.)+[^\W\d_][\w-]+", re.IGNORECASE)
_WORD = re.compile(r"\w+")


class Mentions:
    """The names met in one answer, each with what replaces it."""

    def __init__(self, mask_address: Callable[[str], str]) -> None:
        self._mask_address = mask_address
        self._by_first_word: dict[str, dict[tuple[str, ...], str]] = {}
        self._whole: dict[str, str] = {}

    def add(self, name: str, replacement: str) -> None:
        """Know a name from now on; the first replacement of a name stays."""
        self._whole.setdefault(name, replacement)
        words = tuple(word.casefold() for word in _WORD.findall(name))
        if words:
            self._by_first_word.setdefault(words[0], {}).setdefault(words, replacement)

    def masked(self, text: str, *, title: bool = False) -> str:
        """The text with every address and every known name replaced; the very same object if there is none.

        ``title``: the text names a thing (a group, a drill), where a name of one word is more likely to be that word.
        """
        if "@" in text or "%40" in text:
            text = _ADDRESS.sub(lambda match: self._mask_address(match[0]), text)
        if not self._whole:
            return text
        if not title and text in self._whole:
            return self._whole[text]
        return self._without_names(text, shortest=2 if title else 1)

    def _without_names(self, text: str, *, shortest: int) -> str:
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
        candidates = self._by_first_word.get(words[position][2])
        if candidates is None:
            return None
        fitting = [
            (len(name), replacement)
            for name, replacement in candidates.items()
            if len(name) >= shortest and name == tuple(word for _, _, word in words[position : position + len(name)])
        ]
        return max(fitting, default=None, key=lambda pair: pair[0])
