"""``seawall run``: one process that serves, several with a supervisor, or one of these several."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from seawall.cli.report import ASK, CommandError
from seawall.cli.serving import How, Where, serve_and_flush
from seawall.cli.target import load_service, parse_target
from seawall.clock import SystemClock, SystemRandom
from seawall.problems import ConfigurationError, SeawallError
from seawall.telemetry import logs

if TYPE_CHECKING:
    from seawall.settings import Settings
    from seawall.workers import Failed, Station

__all__ = ["run_service"]

FIXED = frozenset({"server.host", "server.port", "server.uds", "server.workers", "server.worker_start_timeout"})
"""Settings that a supervisor reads once; its workers read all others anew."""
MANY = 8
"""Workers for each core from which on somebody may have mistyped."""

logger = logging.getLogger("seawall.workers")


def run_service(
    target: str,
    where: Where,
    how: How,
    level: str | None,
    workers: int | None,
    worker: str | None,
    *,
    with_traceback: bool,
) -> int:
    """Serve the service that *target* names until the process is told to end; return the exit status.

    Args:
        target: The service.
        where: Where to listen.
        how: What serves.
        level: The least severe lines to log; what the settings say by default.
        workers: How many processes serve; what the settings say by default.
        worker: What a supervisor says to a worker; None for everybody else.
        with_traceback: Whether the traceback of an error is shown.

    Raises:
        CommandError: There is no such service, or a worker could not start.
        ConfigurationError: It, its settings or the address are wrong, or it does not start.
    """
    if worker is not None:
        return _work(target, where, how, level, worker)
    if os.getpid() == 1:
        from seawall.workers.init import init  # noqa: PLC0415 - only in a container

        init()
    count = workers or _workers_in_settings()
    if count > 1:
        return _supervise(target, where, how, level, count, with_traceback=with_traceback)
    return _serve_alone(target, where, how, level, workers)


def _workers_in_settings() -> int:
    from seawall.settings import SettingsError, load  # noqa: PLC0415 - Pydantic

    try:
        return load().server.workers
    except SettingsError:
        return 1  # the service will say so, unless it is made with settings of its own and reads none


def _serve_alone(target: str, where: Where, how: How, level: str | None, workers: int | None) -> int:
    from seawall.workers.systemd import Notifier, NotifyWatch  # noqa: PLC0415 - only for those who serve

    service = load_service(target)
    settings = service.settings
    if settings.server.workers > 1 and workers is None:
        raise CommandError(
            f"server.workers = {settings.server.workers} stands in the settings {target} makes itself, and the process "
            "that starts the workers does not import it.",
            f"Say so outside: --workers {settings.server.workers}, SEAWALL_SERVER_WORKERS or seawall.toml.",
        )
    settings = how.over(settings)
    logs.configure(level or settings.log.level, settings.log.format)
    service.build()
    watch = NotifyWatch(Notifier(os.environ, service.clock))
    return serve_and_flush(service, settings, where.bind(settings), level, watch)


def _supervise(target: str, where: Where, how: How, level: str | None, count: int, *, with_traceback: bool) -> int:
    from seawall.settings import load  # noqa: PLC0415 - Pydantic
    from seawall.workers import Commands, Supervisor  # noqa: PLC0415 - only for those who want several
    from seawall.workers.systemd import Notifier  # noqa: PLC0415 - likewise

    parse_target(target)
    settings = load()
    logs.configure(level or settings.log.level, settings.log.format)
    endpoint = where.bind(settings)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count > MANY * cores:
        logger.warning("%d workers on %d cores: more than one for each core serve no faster", count, cores)
    options = [f"--fd={each.fileno()}" for each in endpoint.sockets]
    options += [*how.options(), *([f"--log-level={level}"] if level else [])]
    clock = SystemClock()
    supervisor = Supervisor(
        Commands(["run", target, *options], endpoint.sockets),
        count,
        endpoint.address,
        settings.server.worker_start_timeout,
        _Reload(settings, level),
        clock,
        SystemRandom(),
        Notifier(os.environ, clock),
    )
    try:
        result = supervisor.run()
    finally:
        endpoint.close()
        logs.flush()
    if isinstance(result, int):
        return result
    raise _not_started(result, with_traceback=with_traceback)


class _Reload:
    """Reads the settings again for a supervisor: a wrong one is said once, before any worker is started.

    Args:
        settings: Those in use.
        level: The least severe lines to log, whatever they say.
    """

    def __init__(self, settings: Settings, level: str | None) -> None:
        self._settings = settings
        self._level = level

    def __call__(self) -> bool:
        from seawall.settings import changes, load  # noqa: PLC0415 - loaded already

        try:
            fresh = load()
        except ConfigurationError as error:
            logger.error("settings not reloaded, the workers stay as they are: %s", error)
            return False
        for change in sum(changes(self._settings, fresh), ()):
            if change.name in FIXED:
                logger.warning("needs a restart: %s", change)
        if self._level is None:
            logs.set_level(fresh.log.level)
        return True


def _not_started(failed: Failed, *, with_traceback: bool) -> CommandError:
    if with_traceback and failed.traceback:
        sys.stderr.write(failed.traceback)
    hints: Sequence[str] = (*failed.hints, *([ASK] if failed.traceback and not with_traceback else []))
    return CommandError(failed.message, *hints, usage=failed.status == 2)


def _work(target: str, where: Where, how: How, level: str | None, worker: str) -> int:
    """Serve as one of several workers; what goes wrong before it serves is for the supervisor to tell."""
    from seawall.workers import Place, Station  # noqa: PLC0415 - only for workers

    try:
        station = Station(Place.parse(worker))
    except (OSError, ValueError, TypeError) as error:
        raise CommandError("--worker is for the supervisor that seawall run --workers starts.", usage=True) from error
    try:
        return _serve_at(station, target, where, how, level)
    except SeawallError as error:
        hints = error.hints if isinstance(error, CommandError) else ()
        status = 2 if isinstance(error, CommandError) and error.usage else 1
        station.fail(str(error), hints, status, error if error.__cause__ is not None else None)
        return status
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the last resort of a worker
        station.fail(f"unexpected {type(error).__name__}: {error}", (), 1, error)
        return 1


def _serve_at(station: Station, target: str, where: Where, how: How, level: str | None) -> int:
    service = load_service(target)
    settings = how.over(service.settings)
    logs.configure(level or settings.log.level, settings.log.format, worker=station.place.seat)
    service.host = station.host
    service.rebuild()  # the module may have asked for the application already
    service.build()
    service.lifecycle.colleagues = station.board.document
    return serve_and_flush(service, settings, where.bind(settings), level, station)
