"""A worker of Celery, which soon finds the lease of a dead process: ``python -m tests.workers.celery_worker …``."""

from __future__ import annotations

from celery.__main__ import main

from drillster_pipeline.archive import lease

lease.HEARTBEAT_SECONDS, lease.PATIENCE_SECONDS = 0.5, 4.0

if __name__ == "__main__":
    main()
