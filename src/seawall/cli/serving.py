"""``seawall run`` and ``seawall dev``: serve a service, in production and while it is written."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from seawall.cli.report import CommandError
from seawall.cli.target import load_service, parse_target
from seawall.telemetry import logs

if TYPE_CHECKING:
    from seawall.endpoint import Endpoint
    from seawall.service import Service
    from seawall.settings import Settings

__all__ = ["Where", "develop", "run_service"]

ENVIRONMENT = "SEAWALL_SERVICE_ENVIRONMENT"


@dataclass(frozen=True, slots=True)
class Where:
    """Where to listen, as far as the command line says so; the settings say the rest."""

    host: str | None
    port: int | None
    uds: Path | None
    fds: tuple[int, ...]

    def bind(self, settings: Settings) -> Endpoint:
        """Bind.

        Raises:
            CommandError: More than one place was named.
            ConfigurationError: The address cannot be had.
        """
        from seawall.endpoint import bind, inherit  # noqa: PLC0415 - only for those who serve

        named = [bool(self.fds), self.uds is not None, self.host is not None or self.port is not None]
        if sum(named) > 1:
            raise CommandError("--fd, --uds and --host/--port name different places; give one of them.", usage=True)
        if self.fds:
            return inherit(self.fds)
        server = settings.server
        uds = self.uds if any(named) else server.uds
        port = server.port if self.port is None else self.port
        return bind(self.host or server.host, port, Path(uds) if uds else None)


def run_service(target: str, where: Where, level: str | None) -> int:
    """Serve the service that *target* names until the process is told to end; return the exit status.

    Raises:
        CommandError: There is no such service.
        ConfigurationError: It, its settings or the address are wrong, or it does not start.
    """
    service = load_service(target)
    settings = service.settings
    shown = level or settings.log.level
    logs.configure(shown, settings.log.format)
    service.build()
    return _serve_and_flush(service, settings, where.bind(settings), level)


def _serve_and_flush(service: Service, settings: Settings, endpoint: Endpoint, level: str | None) -> int:
    from seawall.server import serve  # noqa: PLC0415 - imports uvicorn

    try:
        return serve(service, settings, endpoint, level=level)
    finally:
        logs.flush()


def develop(
    target: str, where: Where, level: str | None, watched: tuple[Path, ...], *, reload: bool, with_traceback: bool
) -> int:
    """Serve the service that *target* names for its author; return the exit status.

    Args:
        target: The service.
        where: Where to listen.
        level: The least severe lines to log; what the settings say by default.
        watched: Folders to watch besides the current one.
        reload: Whether this process holds the socket and watches files, while a child process serves.
        with_traceback: Whether that child shows the tracebacks of errors.

    Raises:
        CommandError: There is no such service, or watching needs what is not installed.
        ConfigurationError: As `run_service`.
    """
    os.environ.setdefault(ENVIRONMENT, "development")
    if reload:
        options = [f"--log-level={level}"] if level else []
        options += ["--traceback"] if with_traceback else []
        return _supervise(target, where, options, watched)
    service = load_service(target)
    settings = service.settings
    shown = level or settings.log.level
    logs.configure(shown, "console" if settings.log.format == "auto" else settings.log.format)
    service.build()
    endpoint = where.bind(settings)

    return _serve_and_flush(service, settings, endpoint, level)


def _supervise(target: str, where: Where, options: list[str], watched: tuple[Path, ...]) -> int:
    from seawall.cli.reload import supervise  # noqa: PLC0415 - needs watchfiles
    from seawall.settings import load  # noqa: PLC0415 - Pydantic

    parse_target(target)
    endpoint = where.bind(load())
    fds = [each.fileno() for each in endpoint.sockets]
    command = [sys.executable, "-m", "seawall", "dev", target, "--no-reload", *options, *(f"--fd={fd}" for fd in fds)]
    try:
        return supervise(command, fds, (Path.cwd(), *watched), lambda line: typer.secho(line, err=True, fg="cyan"))
    finally:
        endpoint.close()
