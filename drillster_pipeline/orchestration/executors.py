"""Where the steps of a run are: in its process, on workers of Celery, or in pods of Kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from drillster_pipeline.errors import needs_extra
from drillster_pipeline.settings import PREFIX, Settings, raise_complaints

from .resources import run_lock

if TYPE_CHECKING:
    from celery import Celery


def executor_of(settings: Settings) -> dg.ExecutorDefinition:
    """The executor of the jobs. Raises ExtraMissing."""
    if settings.executor == "celery":
        return _celery_executor(settings)
    if settings.executor == "k8s":
        with needs_extra("kubernetes", "DRILLSTER_EXECUTOR=k8s"):
            from dagster_k8s import k8s_job_executor
        return k8s_job_executor
    return dg.in_process_executor


def retry_tags(settings: Settings) -> dict[str, str]:
    """Tags of a job: how Dagster tries a run again that was killed.

    By default from what has failed: it gives up where that is nothing, as all steps had ended on their workers. From
    the first step instead, which finds what is captured.
    """
    return {} if settings.executor == "in_process" else {"dagster/retry_strategy": "ALL_STEPS"}


def celery_config(settings: Settings) -> dict[str, Any]:
    """What the executor and the workers give to Celery, but for where broker and results are.

    A task is acknowledged when it has ended, and a worker takes no other meanwhile: what dies with a worker, or with
    the child that a task runs in, is delivered to another.
    """
    return {
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        # For Redis; without the second, kombu looks for tasks that have timed out only every 100 s.
        "broker_transport_options": {
            "visibility_timeout": settings.celery_visibility_timeout,
            "unacked_restore_throttle": 1,
        },
        "broker_connection_retry_on_startup": True,
        # Five minutes for a broker that is started again; by default the run fails within a second.
        "task_publish_retry_policy": {"max_retries": 60, "interval_start": 0, "interval_step": 1, "interval_max": 5},
        "result_backend_always_retry": True,
    }


def celery_app(settings: Settings) -> Celery:
    """The application of the workers. Raises ExtraMissing, SettingsError."""
    with needs_extra("celery", "A worker of Celery"):
        from dagster_celery import make_app, tasks
    # Nothing of dagster_celery has types.
    app: Any = make_app.make_app({**_urls(settings), "config_source": celery_config(settings)})  # type: ignore[no-untyped-call]  # as above
    tasks.create_task(app)  # type: ignore[no-untyped-call]  # as above
    return app


def _urls(settings: Settings) -> dict[str, str]:
    """Where broker and results are. Raises SettingsError, as Celery would use a broker of this machine without one."""
    urls = {"broker": settings.celery_broker, "backend": settings.celery_backend}
    missing = [
        f"{PREFIX}CELERY_{name.upper()} is missing or wrong: Celery needs it" for name, url in urls.items() if not url
    ]
    raise_complaints(missing, "the environment or in .env")
    return {name: url.get_secret_value() for name, url in urls.items() if url}


def _celery_executor(settings: Settings) -> dg.ExecutorDefinition:
    with needs_extra("celery", "DRILLSTER_EXECUTOR=celery"):
        from dagster_celery import celery_executor
        from dagster_celery.executor import CeleryExecutor
    plain_of: Any = celery_executor.executor_creation_fn
    config = celery_config(settings)

    class LockedExecutor(CeleryExecutor):
        """No step of a run is in its process, so that the executor has the lock by which a dead run is found."""

        def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:
            with run_lock(plan_context.instance, plan_context.run_id):
                yield from super().execute(plan_context, execution_plan)  # type: ignore[no-untyped-call]  # as above

    # Nothing of it is configured in Dagster, which would show the URLs.
    @dg.executor(name="celery", requirements=dg.multiple_process_executor_requirements())
    def celery(context: dg.InitExecutorContext) -> dg.Executor:
        plain = plain_of(context._replace(executor_config={"retries": {"enabled": {}}}))
        return LockedExecutor(plain.retries, **_urls(settings), config_source=config)  # type: ignore[no-untyped-call]  # as above

    return celery
