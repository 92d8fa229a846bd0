"""``python -m tests.documents`` writes docs/queries.md and the table of docs/settings.md anew."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from .month import write_dates
from .questions import DOCS, ask, page, questions
from .settings import TABLE, table

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, write_dates(Path(folder)).opened() as warehouse:
        every = questions()
        with warehouse.engine.connect() as connection:
            answers = {question.number: ask(connection, question) for question in every}
    (DOCS / "queries.md").write_text(page(every, answers))
    settings = DOCS / "settings.md"
    settings.write_text(re.sub(TABLE, lambda _: table(), settings.read_text()))
