"""What the workers of a run share: the broker that gives them steps, what keeps the results, and where data goes.

A broker that forgets its queue, or results that end with it, leave a run waiting for what will never come. See
https://docs.celeryq.dev/en/stable/getting-started/backends-and-brokers/redis.html about both uses of Redis.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from drillster_pipeline.archive.archive import open_storage
from drillster_pipeline.archive.local import LocalStorage
from drillster_pipeline.errors import Refused, Unavailable, needs_extra
from drillster_pipeline.formatting import duration

from .report import DiagnosticsReport, Part

if TYPE_CHECKING:
    from pydantic import SecretStr

    from drillster_pipeline.settings import Settings

    from .report import Step

BROKER, BACKEND = "DRILLSTER_CELERY_BROKER", "DRILLSTER_CELERY_BACKEND"
CONSUMER_SECONDS = 1800
"""RabbitMQ's consumer_timeout, unless it is set: after it a task that has not ended is given to another worker."""
_ANSWER_SECONDS = 5.0


def check_workers(report: DiagnosticsReport, settings: Settings) -> None:
    """What Celery or Kubernetes needs beside Dagster; nothing where all steps are in one process."""
    if settings.executor == "in_process":
        return
    with report.step(Part.OPERATION, "shared places", "where archive, reports and warehouse are") as step:
        _check_places(step, settings)
    if settings.executor == "celery":
        for name, url in {BROKER: settings.celery_broker, BACKEND: settings.celery_backend}.items():
            if url is None:
                report.skip(Part.OPERATION, name, "it is missing or wrong")
                continue
            with report.step(Part.OPERATION, name, "connecting, and whether it keeps what it has") as step:
                _check_service(step, settings, url, report.estimate.minutes * 60 if report.estimate else 0.0)


def _check_places(step: Step, settings: Settings) -> None:
    places = {
        "DRILLSTER_ARCHIVE_URL": isinstance(open_storage(settings.archive_url.get_secret_value()), LocalStorage),
        "DRILLSTER_REPORTS_FOLDER": isinstance(open_storage(settings.reports_folder.get_secret_value()), LocalStorage),
        "DRILLSTER_WAREHOUSE_URL": settings.warehouse_url.get_secret_value().startswith("sqlite"),
    }
    if local := [name for name, is_local in places.items() if is_local]:
        step.warning(
            f"{', '.join(local)}: on the disk of one machine. Workers on other machines do not find it there.",
            "Use an object store and a database server, unless all workers are on this machine.",
        )
    else:
        step.ok("archive, reports and warehouse are on servers, which all workers reach")


def _check_service(step: Step, settings: Settings, url: SecretStr, seconds: float) -> None:
    """Check the broker or the result backend; ``seconds``: how long a capture takes, 0 if that is not known."""
    text = url.get_secret_value()
    if text.startswith("db+"):
        _check_database(step, text.removeprefix("db+"))
    elif text.startswith("redis"):
        with _connection(step, text) as connection:
            server = _redis_facts(connection.default_channel.client)
        if _keeps_data(step, server) and _is_late_enough(step, settings, seconds):
            step.ok(f"Redis {server.get('redis_version', '')} answers, and keeps what it has")
    else:
        with _connection(step, text) as connection:
            version = connection.connection.server_properties.get("version", "")
        _check_consumer_timeout(step, f"RabbitMQ {version} answers", seconds)


@contextmanager
def _connection(step: Step, url: str) -> Iterator[Any]:
    """A connection as Celery makes it. Raises ExtraMissing, and Unavailable without a part of the URL."""
    with needs_extra("celery", "DRILLSTER_EXECUTOR=celery"):
        from kombu.connection import Connection
    limits = {"socket_timeout": _ANSWER_SECONDS, "socket_connect_timeout": _ANSWER_SECONDS}
    opened: Any = Connection  # it has no types
    with opened(url, connect_timeout=_ANSWER_SECONDS, transport_options=limits) as connection:
        try:
            connection.connect()
            yield connection
        except (OSError, *connection.connection_errors, *connection.channel_errors) as error:
            raise _unreachable(step, error) from None


def _unreachable(step: Step, error: Exception) -> Unavailable:
    # Without its message, which may name a host and its user.
    return Unavailable(
        f"can't be used ({type(error).__name__}). Check that it is up, and its address, user and password in "
        f"{step.name}"
    )


def _check_database(step: Step, url: str) -> None:
    import sqlalchemy as sa

    if url.startswith("sqlite"):
        raise Refused("is a file of one machine: workers on others do not find it. Name a database on a server")
    with needs_extra("postgres", f"The database of {step.name}"):
        engine = sa.create_engine(url, poolclass=sa.NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(sa.select(1))
    except sa.exc.SQLAlchemyError as error:
        raise _unreachable(step, error) from None
    step.ok(f"{engine.dialect.name} answers; what it keeps outlives the broker")


def _redis_facts(client: Any) -> dict[str, Any]:
    """What Redis says of itself; INFO, as services that others run refuse CONFIG. Empty where it is refused, too."""
    from redis.exceptions import NoPermissionError, ResponseError

    try:
        return dict(client.info())
    except (NoPermissionError, ResponseError):
        return {}


def _keeps_data(step: Step, server: dict[str, Any]) -> bool:
    """Whether a queue or results are there after Redis was killed; adds a result where not."""
    policy = server.get("maxmemory_policy", "noeviction")
    if not server:
        step.warning(
            "Redis answers, but does not say whether it keeps what it has: INFO is refused.",
            "Make sure that append-only files are on and that it evicts nothing (maxmemory-policy noeviction).",
        )
    elif not server.get("aof_enabled"):
        step.failed(
            "Redis has all in memory alone: when it is killed, steps that wait are gone, and a run waits for them in "
            "vain.",
            "Set appendonly yes in redis.conf, or use RabbitMQ as the broker and PostgreSQL for the results.",
            exit_code=Refused.exit_code,
        )
    elif server.get("maxmemory") and policy != "noeviction":
        step.failed(
            f"Redis removes what it has when its memory is full (maxmemory-policy {policy}), also steps that wait.",
            "Set maxmemory-policy noeviction.",
            exit_code=Refused.exit_code,
        )
    else:
        return True
    return False


def _is_late_enough(step: Step, settings: Settings, seconds: float) -> bool:
    """Whether a shard ends before Redis gives it to a second worker; adds a result where not.

    Shards share requests in flight and rate, so that each takes as long as all of them.
    """
    timeout = settings.celery_visibility_timeout
    if step.name != BROKER or seconds <= timeout:
        return True
    step.failed(
        f"a capture takes about {duration(seconds)}, and Redis gives a step that has not ended after "
        f"{duration(timeout)} to another worker, which then waits for the first.",
        f"Set DRILLSTER_CELERY_VISIBILITY_TIMEOUT to more than {seconds:.0f}, or use RabbitMQ.",
        exit_code=Refused.exit_code,
    )
    return False


def _check_consumer_timeout(step: Step, found: str, seconds: float) -> None:
    if seconds > CONSUMER_SECONDS:
        step.warning(
            f"{found}. A capture takes about {duration(seconds)}, and RabbitMQ gives a step that has not ended after "
            f"its consumer_timeout (30 minutes, if it is not set) to another worker, which then waits for the first.",
            "Set consumer_timeout in rabbitmq.conf to more than that, in milliseconds.",
        )
    else:
        step.ok(found)
