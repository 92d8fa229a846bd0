"""How fast decoded pages of results become typed frames, what a row hash costs, and what memory it takes (in CPU time).

Run: ``python benchmarks/extract.py [--rows 1000000] [--decode]``. With ``--decode``, each page is parsed from JSON
first, as the archive does. Pages are made once and read again and again, so that making them is not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from random import Random
from typing import Any

from drillster_pipeline.extract.batches import Page, batch_of, row_hashes
from drillster_pipeline.extract.extractor import Extractor
from drillster_pipeline.tables import DATA_TABLES, tables_of

CAPTURED_AT = datetime(2026, 3, 15, 1, 30, tzinfo=UTC)
ITEMS = 50
PAGES = 200
HASHED = 200_000


def moment(chance: Random) -> str:
    day, seconds = chance.randint(1, 28), chance.randint(0, 59)
    return f"2026-{chance.randint(1, 9):02d}-{day:02d}T19:02:{seconds:02d}Z"


def answer(chance: Random) -> dict[str, Any]:
    items = [
        {
            "drillable": {
                "id": f"drill{number:017d}",
                "type": "DRILL",
                "name": f"Medicines, part {number}",
                "icon": {"type": "image/png", "url": "https://example.org/icon.png"},
            },
            "practice": {
                "proficiency": {name: chance.randint(0, 100) for name in ("overall", "receptive", "productive")},
                "highestProficiency": {"overall": chance.randint(0, 100)},
                "eventualProficiency": {"overall": chance.randint(0, 100)},
                "timeSpent": chance.randint(0, 10_000),
                "expectedDuration": 3_600,
                "added": moment(chance),
                **({"lastPracticed": moment(chance)} if chance.random() < 0.8 else {}),
            },
        }
        for number in chance.sample(range(500), ITEMS)
    ]
    return {"member": {"type": "USER", "id": "noor", "name": "Noor"}, "groupDrillableMemberResults": items}


def pages(rows: int, *, decode: bool) -> Iterator[tuple[str, Page]]:
    chance = Random(7)
    answers = [answer(chance) for _ in range(PAGES)]
    texts = [json.dumps(one) for one in answers]
    for number in range(rows // ITEMS):
        body = json.loads(texts[number % PAGES]) if decode else answers[number % PAGES]
        unit = {"group_id": f"group{number // 500}", "account_id": f"account{number}"}
        yield "results", Page(unit, 1, CAPTURED_AT, body)


def measure_results(rows: int, *, decode: bool) -> None:
    extractor = Extractor(export_date=date(2026, 3, 14), tables=tables_of("snapshot"))
    started, read = time.process_time(), 0
    for batch in extractor.batches(pages(rows, decode=decode)):
        read += len(batch.frame) if batch.table.name == "results" else 0
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{read:,} results in {seconds:.2f} CPU seconds: {read / seconds:,.0f} rows/s; peak {peak:.0f} MiB")


def measure_hashes() -> None:
    accounts = DATA_TABLES["accounts"]
    fixed = {
        "locale": "nl",
        "time_zone": "Europe/Amsterdam",
        "year_of_birth": 1984,
        "is_managed": True,
        "is_admin": False,
    }
    rows = []
    for number in range(HASHED):
        login = {} if number % 3 else {"last_login_at": "2025-05-02T06:41:00Z"}
        row = {"account_id": f"account{number}", "name": f"Noor {number}", "repertoire_size": number, **fixed, **login}
        rows.append(tuple(row.get(column.name) for column in accounts.columns))
    frame = batch_of(accounts, rows).frame
    started = time.process_time()
    row_hashes(accounts, frame)
    print(
        f"{HASHED:,} row hashes of {len(accounts.columns)} columns in {time.process_time() - started:.2f} CPU seconds"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--decode", action="store_true")
    options = parser.parse_args()
    measure_results(options.rows, decode=options.decode)
    measure_hashes()
