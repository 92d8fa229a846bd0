"""Keys that are too long for databases that bound them: their rows are set aside, and the rest of the night loads."""

from __future__ import annotations

from dataclasses import replace

from drillster_pipeline.extract.batches import MASKED, Batch, Reject

from .dialects import KEY_LENGTH, python_values
from .model import bounded_columns


def leave_out_long_keys(batch: Batch) -> Batch:
    """The batch with rows that have a key or reference of more than ``KEY_LENGTH`` characters among its rejects."""
    batch = replace(batch, rejects=tuple(map(_without_long_stub, batch.rejects)))
    frame = batch.frame
    if frame.empty:
        return batch
    reasons: dict[int, str] = {}
    for column in bounded_columns(batch.table):
        if column.name not in frame.columns:
            continue
        lengths = frame[column.name].str.len().fillna(0).to_numpy()
        for place in (lengths > KEY_LENGTH).nonzero()[0].tolist():
            told = f"{column.name}: {int(lengths[place])} characters, where this database takes {KEY_LENGTH} in a key"
            reasons.setdefault(place, told)
    if not reasons:
        return batch
    rejects = [_reject(batch, place, reason) for place, reason in sorted(reasons.items())]
    kept = frame.drop(frame.index[sorted(reasons)])
    return replace(batch, frame=kept, rejects=(*batch.rejects, *rejects))


def _without_long_stub(reject: Reject) -> Reject:
    """A row that did not fit cannot stand by a key, or beside one, that is too long as well."""
    parts = (*(reject.key or ()), *(reject.required or {}).values())
    return replace(reject, required=None) if any(len(part) > KEY_LENGTH for part in parts) else reject


def _reject(batch: Batch, place: int, reason: str) -> Reject:
    row = batch.frame.iloc[[place]]
    values = {column.name: python_values(column, row[column.name])[0] for column in batch.table.columns}
    record = {
        column.name: MASKED if column.personal and values[column.name] is not None else values[column.name]
        for column in batch.table.columns
    }
    return Reject(batch.table.name, reason, record, tuple(str(values[name]) for name in batch.table.key))
