"""``seawall run`` and ``seawall dev``: serve a service, in production and while it is written."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Callable
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
    from seawall.watch import Watch

__all__ = ["How", "Where", "develop", "serve_and_flush"]

ENVIRONMENT = "SEAWALL_SERVICE_ENVIRONMENT"


@dataclass(frozen=True, slots=True)
class Where:
    """Where to listen, as far as the command line says so; the settings say the rest."""

    host: str | None
    port: int | None
    uds: Path | None
    fds: tuple[int, ...]

    def bind(self, settings: Settings) -> Endpoint:
        """Bind, or take over the sockets that a service manager has opened, if no place is named here.

        Raises:
            CommandError: More than one place was named.
            ConfigurationError: The address cannot be had.
        """
        from seawall.endpoint import bind, inherit  # noqa: PLC0415 - only for those who serve
        from seawall.workers.systemd import activated  # noqa: PLC0415 - likewise

        named = [bool(self.fds), self.uds is not None, self.host is not None or self.port is not None]
        if sum(named) > 1:
            raise CommandError("--fd, --uds and --host/--port name different places; give one of them.", usage=True)
        fds = self.fds or (() if any(named) else activated(os.environ, os.getpid()))
        if fds:
            return inherit(fds)
        server = settings.server
        uds = self.uds if any(named) else server.uds
        port = server.port if self.port is None else self.port
        return bind(self.host or server.host, port, Path(uds) if uds else None, int(server.uds_mode, 8))


@dataclass(frozen=True, slots=True)
class How:
    """What serves, as far as the command line says so; the settings say the rest."""

    server: str | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None

    def options(self) -> list[str]:
        """Return what was given, as options of ``seawall run``."""
        given = {field.name: value for field in dataclasses.fields(self) if (value := getattr(self, field.name))}
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]

    def over(self, settings: Settings) -> Settings:
        """Return *settings* with what was given here.

        Raises:
            CommandError: A key or authorities were named, and no certificate anywhere.
        """
        given = {field.name: value for field in dataclasses.fields(self) if (value := getattr(self, field.name))}
        if not given:
            return settings
        update = {name: str(value) for name, value in given.items()}
        server = settings.server.model_copy(update=update)
        if (server.tls_key or server.tls_client_ca) and not server.tls_certificate:
            raise CommandError("--tls-key and --tls-client-ca need --tls-certificate.", usage=True)
        return dataclasses.replace(settings, server=server)


def serve_and_flush(
    service: Service, settings: Settings, endpoint: Endpoint, level: str | None, watch: Watch | None = None
) -> int:
    """Serve by what the settings say, and write every log line before returning the exit status."""
    try:
        return _server_of(settings)(service, settings, endpoint, level=level, watch=watch)
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
    return serve_and_flush(service, settings, where.bind(settings), level)


def _server_of(settings: Settings) -> Callable[..., int]:
    """Return what serves."""
    if settings.server.server == "granian":
        from seawall.granian import serve as serve_by_granian  # noqa: PLC0415 - an extra

        return serve_by_granian
    from seawall.server import serve  # noqa: PLC0415 - imports uvicorn

    return serve


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
