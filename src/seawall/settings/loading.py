"""From the environment, the file and the defaults to one frozen value."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from seawall.settings.admission import AdmissionSettings
from seawall.settings.auth import AuthSettings
from seawall.settings.cache import CacheSettings
from seawall.settings.client import ClientSettings
from seawall.settings.data import DatabaseSettings, RedisSettings
from seawall.settings.environment import Environment, service_links
from seawall.settings.errors import Wrong, nearest, report, shown
from seawall.settings.idempotency import IdempotencySettings
from seawall.settings.limit import LimitSettings
from seawall.settings.operations import PREFIX as OPERATIONS_PREFIX
from seawall.settings.operations import TABLE as OPERATIONS_TABLE
from seawall.settings.operations import OperationsSettings, read_operations
from seawall.settings.own import HttpSettings, LogSettings, ServerSettings, ServiceSettings
from seawall.settings.profiling import ProfilingSettings
from seawall.settings.reader import CONFIG, Reader
from seawall.settings.table import AppSettings, Table
from seawall.settings.telemetry import TelemetrySettings

__all__ = ["OWN_TABLES", "Settings", "load", "load_table", "near_own_table"]

AppT = TypeVar("AppT", bound=AppSettings)

OWN_TABLES: tuple[type[Table], ...] = (
    ServiceSettings,
    HttpSettings,
    ServerSettings,
    LogSettings,
    DatabaseSettings,
    RedisSettings,
    LimitSettings,
    CacheSettings,
    IdempotencySettings,
    AdmissionSettings,
    AuthSettings,
    TelemetrySettings,
    ProfilingSettings,
    ClientSettings,
)

# Read elsewhere: the address of the broker by applications (through `Variable`), the last by the command line.
_SHARED_VARIABLES = ("SEAWALL_BROKER_URL", "SEAWALL_TRACEBACK")
_TEST_VARIABLES = (
    "SEAWALL_FAULTS",
    "SEAWALL_REQUIRE_SERVICES",
    "SEAWALL_TEST_POSTGRES_URL",
    "SEAWALL_TEST_SEED",
    "SEAWALL_TEST_REDIS_URL",
    "SEAWALL_TEST_MYSQL_URL",
)
"""What tests are told by, and the servers they start inherit."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of Seawall's settings; made directly, the defaults."""

    service: ServiceSettings = dataclasses.field(default_factory=ServiceSettings)
    http: HttpSettings = dataclasses.field(default_factory=HttpSettings)
    server: ServerSettings = dataclasses.field(default_factory=ServerSettings)
    log: LogSettings = dataclasses.field(default_factory=LogSettings)
    database: DatabaseSettings = dataclasses.field(default_factory=DatabaseSettings)
    redis: RedisSettings = dataclasses.field(default_factory=RedisSettings)
    limit: LimitSettings = dataclasses.field(default_factory=LimitSettings)
    cache: CacheSettings = dataclasses.field(default_factory=CacheSettings)
    idempotency: IdempotencySettings = dataclasses.field(default_factory=IdempotencySettings)
    admission: AdmissionSettings = dataclasses.field(default_factory=AdmissionSettings)
    auth: AuthSettings = dataclasses.field(default_factory=AuthSettings)
    telemetry: TelemetrySettings = dataclasses.field(default_factory=TelemetrySettings)
    profiling: ProfilingSettings = dataclasses.field(default_factory=ProfilingSettings)
    client: ClientSettings = dataclasses.field(default_factory=ClientSettings)
    operations: OperationsSettings = dataclasses.field(default_factory=OperationsSettings)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read Seawall's settings: the environment over the file over the defaults.

    Args:
        path: The file; None for the one the environment variable ``SEAWALL_CONFIG`` names, else
            ``seawall.toml`` in the working directory if it is there.
        environ: The environment; None for the process's own.

    Raises:
        SettingsError: A value is wrong, a setting or ``SEAWALL_…`` variable is unknown, or the file is missing
            or cannot be read. The message lists everything that is wrong, each with the fix.
    """
    reader = Reader(path, os.environ if environ is None else environ)
    _check_top_level(reader)
    _check_variables(reader)
    given: dict[str, Any] = {kind.toml_table: reader.read(kind) for kind in OWN_TABLES}
    given["operations"] = read_operations(
        reader.document.get(OPERATIONS_TABLE), reader.file, reader.environ, reader.wrong
    )
    if reader.wrong or not all(given.values()):
        raise report(reader.wrong)
    return Settings(**given)


def load_table(kind: type[AppT], path: Path | None, environ: Mapping[str, str] | None) -> AppT:
    """Read an application's own table; see `AppSettings.load`."""
    reader = Reader(path, os.environ if environ is None else environ)
    environment = Environment(kind, reader.environ)
    links = service_links(reader.environ)
    known = [kind.variable(field) for field in kind.model_fields]
    reader.wrong += [_unknown_variable(name, known) for name in environment.unknown() if name not in links]
    settings = reader.read(kind)
    if reader.wrong or settings is None:
        raise report(reader.wrong)
    return settings


def near_own_table(name: str) -> str | None:
    """Return the one of Seawall's tables that *name* is or was probably meant to be."""
    return next((own for own in _own_names() if _one_slip(name.lower(), own)), None)


def _one_slip(name: str, own: str) -> bool:
    """Whether they are the same but for one letter more, less, other, or two swapped.

    Stricter than `nearest`: an application's ``[blog]`` or ``[login]`` is no mistyped ``[log]``.
    """
    if name[:1] != own[:1]:
        return False
    while name and own and name[0] == own[0]:
        name, own = name[1:], own[1:]
    while name and own and name[-1] == own[-1]:
        name, own = name[:-1], own[:-1]
    return max(len(name), len(own)) <= 1 or (len(name) == 2 and name == own[::-1])


def _own_names() -> list[str]:
    return [*(kind.toml_table for kind in OWN_TABLES), OPERATIONS_TABLE]


def _check_top_level(reader: Reader) -> None:
    """Find misspelt tables and settings outside of any; tables of other names belong to the application."""
    own = _own_names()
    for key, value in reader.document.items():
        where = f"{reader.file} {key}"
        if isinstance(value, dict):
            if key not in own and (guess := near_own_table(key)):
                reader.wrong.append(
                    Wrong(
                        f"{reader.file} [{key}]",
                        "there is no such table, and it reads like one of Seawall's",
                        f"did you mean [{guess}]? A table of the application's own needs a name less like it",
                    )
                )
        elif key == OPERATIONS_TABLE:
            fix = f"write [{OPERATIONS_TABLE}.NAME], and the operation's options below"
            reader.wrong.append(Wrong(where, "it must be a table", fix, shown(value)))
        elif key not in own:
            tables = [kind.toml_table for kind in OWN_TABLES if key in kind.model_fields]
            fix = f"move it below the line [{tables[0]}]" if tables else "move it below the line of its table"
            reader.wrong.append(Wrong(where, "it stands outside of any table", fix))


def _check_variables(reader: Reader) -> None:
    """Find variables that begin with ``SEAWALL_`` and set nothing."""
    known = [kind.variable(field) for kind in OWN_TABLES for field in kind.model_fields]
    known += [CONFIG, *_SHARED_VARIABLES, *_TEST_VARIABLES]
    links = service_links(reader.environ)
    for name in sorted(reader.environ):
        ours = name.startswith("SEAWALL_") and not name.startswith(OPERATIONS_PREFIX)
        if ours and name not in known and name not in links:
            reader.wrong.append(_unknown_variable(name, known))


def _unknown_variable(name: str, known: list[str]) -> Wrong:
    # Its value is not shown: whatever it was meant to be may be a secret.
    where = f"environment variable {name}"
    if name.startswith(OPERATIONS_PREFIX.removesuffix("_")):
        return Wrong(
            where,
            "there is no such setting",
            f"write {OPERATIONS_PREFIX}NAME__OPTION, with double underscores",
        )
    guess = nearest(name, known)
    return Wrong(where, "there is no such setting", f"did you mean {guess}?" if guess else "unset it")
