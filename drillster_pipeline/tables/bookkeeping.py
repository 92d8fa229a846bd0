"""What was loaded, when, from where, and what was left out. Written in the transaction of the load itself."""

from __future__ import annotations

from .schema import Column, Type, bookkeeping, boolean, date, integer, key, text, timestamp

LOADS = bookkeeping(
    "loads",
    "Every published load. A row is here only when its data is.",
    key("load_id", "The load."),
    text("run_id", "Dagster's id of the run that made it."),
    date("export_date", "The day that it describes, in DRILLSTER_TIMEZONE.", nullable=False),
    text("kind", "What was loaded.", nullable=False, values=("snapshot", "events")),
    timestamp("started_at", "When staging began.", nullable=False),
    timestamp("finished_at", "When all of it was written, just before it was committed.", nullable=False),
    timestamp("captured_from", "When the first of its responses came in."),
    timestamp("captured_until", "When the last of its responses came in."),
    text("archive_url", "Where the responses are kept."),
    text("program_version", "Version of drillster-pipeline that made it."),
    text("capture_id", "The capture in the archive that it was read from."),
    text(
        "manifest_sha256",
        "SHA-256, in hex, of that capture's manifest, which has the SHA-256 of each of its parts: shows whether "
        "the archive is still what was loaded.",
    ),
    boolean(
        "is_whole",
        "Whether all tables of its kind were loaded for which Drillster gave responses; false for a load of selected "
        "tables only.",
    ),
    boolean(
        "is_complete",
        "Whether all tables of the kind are fully loaded (load_tables.is_fully_loaded), except those that the "
        "service account may not read at all (403, 404) and no earlier load could. NULL: loaded by a version that "
        "did not record it; is_whole counts then.",
    ),
    text("timezone", "IANA name of the time zone that the export date is a day of, such as Europe/Amsterdam."),
    timestamp(
        "date_begins_at",
        "When the export date begins there. NULL, as in date_ends_at: loaded by a version that did not record it; "
        "views take the day in UTC then.",
    ),
    timestamp(
        "date_ends_at", "When it ends: 24 hours later, or 23 or 25 where clocks change; that moment not included."
    ),
    integer(
        "requests_refused",
        "Requests that Drillster answered with 403 or 404, though the group was not gone: closed to the service "
        "account, or not to be found. Rows that are there stay as they were. NULL: not counted by that version.",
    ),
)

LOAD_TABLES = bookkeeping(
    "load_tables",
    "What a load did to each table.",
    key("load_id", "The load.", references="loads.load_id"),
    key("table_name", "The table."),
    integer("rows_read", "Rows read from the responses, each once, rejected ones included.", nullable=False),
    integer("rows_rejected", "Rows that did not fit; see rejected_rows.", nullable=False),
    integer("rows_inserted", "Rows that were new.", nullable=False),
    integer("rows_updated", "Rows that differed.", nullable=False),
    integer("rows_deleted", "Rows newly marked as deleted, or replaced by nothing.", nullable=False),
    integer("rows_unchanged", "Rows that were the same already.", nullable=False),
    boolean(
        "is_complete",
        "Whether the read was complete, so that what it did not show is known to be gone.",
        nullable=False,
    ),
    boolean(
        "is_fully_loaded",
        "Whether everything was read that Drillster gives the service account (no list cut short, no request "
        "without a usable response), and at most half of the rows were rejected. NULL: the table was only filled "
        "from references, or loaded by a version that did not record it; is_complete counts then.",
    ),
    boolean(
        "in_history",
        "Whether the history of the table is what this load showed on its date; false: a newer load of the date "
        "took its place. NULL: the table has no history, or was only filled from references, or the load is from "
        "before there was history.",
    ),
    integer("history_rows", "Rows of the history that the load wrote or removed; NULL where in_history is."),
)

REJECTED_ROWS = bookkeeping(
    "rejected_rows",
    "Rows that did not fit the contract, and why. Personal values are masked.",
    key("load_id", "The load.", references="loads.load_id"),
    key("table_name", "The table that the row was meant for."),
    integer("row_number", "Number of the reject within its load and table, from 1.", in_key=True, nullable=False),
    text("reason", "The column, and what was wrong with it.", nullable=False),
    Column(Type.JSON, "record", "The row as it was read: column and value, personal values masked.", nullable=False),
)
