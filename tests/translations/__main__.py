"""``python -m tests.translations`` adds new texts to the catalogs, and compiles them."""

from __future__ import annotations

from . import FILES, update

if __name__ == "__main__":
    for file in FILES:
        update(file)
