"""The application of the workers: ``celery -A drillster_pipeline worker --concurrency 1``.

It serves all organizations of a broker, so that broker and results are those of the environment or of ``.env``.
"""

from __future__ import annotations

from .orchestration.executors import celery_app
from .settings import load_settings

app = celery_app(load_settings(needs_api=False))
