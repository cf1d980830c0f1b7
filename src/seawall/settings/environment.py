"""Environment variables as a source of settings, and which of them are nobody's."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_settings import EnvSettingsSource

from seawall.settings.table import Table, Variable, metadata_of

__all__ = ["Environment", "service_links"]

_LINK = re.compile(r"(tcp|udp|sctp)://")


class Environment(EnvSettingsSource):
    """The variables of one table, by their exact upper-case names.

    Lists may be written as JSON or separated by commas. Whatever cannot be read is passed on as text, so that
    validation finds it wrong along with everything else instead of stopping at the first.
    """

    def __init__(self, table: type[Table], environ: Mapping[str, str]) -> None:
        super().__init__(table, case_sensitive=False, env_prefix=table.prefix())
        self.names = {field: table.variable(field) for field in table.model_fields}
        values: dict[str, str | None] = {
            name.lower(): value for name, value in environ.items() if name.isupper() and name.startswith(table.prefix())
        }
        for field, info in table.model_fields.items():
            other = metadata_of(info, Variable)
            if other is not None and other.name in environ and self.names[field] not in environ:
                self.names[field] = other.name
                values[table.variable(field).lower()] = environ[other.name]
        self.env_vars = values
        self._environ = environ

    def unknown(self) -> Iterator[str]:
        """Yield the variables that begin like the table's and set none of its fields."""
        prefix = self.settings_cls.prefix() if issubclass(self.settings_cls, Table) else self.env_prefix
        nested = {
            f"{prefix}{field.upper()}__"
            for field, info in self.settings_cls.model_fields.items()
            if self.field_is_complex(info)
        }
        known = {f"{prefix}{field.upper()}" for field in self.settings_cls.model_fields}
        for name in sorted(self._environ):
            if name.startswith(prefix) and name not in known and not name.startswith(tuple(nested)):
                yield name

    def origin(self, field: str, *inner: object) -> str | None:
        """Return the variable that sets *field*, or the part of it that *inner* leads to; None when none does."""
        name = self.names[field]
        for depth in range(len(inner), 0, -1):
            longer = "__".join([name, *(str(part).upper() for part in inner[:depth])])
            if longer in self._environ:
                return longer
        return name if name in self._environ else None

    def value(self, variable: str) -> str:
        """Return what stands in a variable."""
        return self._environ[variable]

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: Any) -> Any:  # noqa: ARG002
        """Return the list or table that *value* writes, or *value* itself when it writes none."""
        text = str(value).strip()
        if text.startswith(("[", "{")):
            try:
                return json.loads(text)
            except (ValueError, RecursionError):
                return value
        if _is_list(field.annotation):
            return [part.strip() for part in text.split(",") if part.strip()]
        return value


def service_links(environ: Mapping[str, str]) -> frozenset[str]:
    """Return the variables Kubernetes sets in every container for each Service of the namespace.

    For one named ``seawall`` they begin with ``SEAWALL_`` (``SEAWALL_PORT=tcp://10.0.0.7:8000``,
    ``SEAWALL_SERVICE_HOST`` …) and are no settings of anybody.
    """
    services = [
        name.removesuffix("_PORT") for name, value in environ.items() if name.endswith("_PORT") and _LINK.match(value)
    ]
    starts = tuple(f"{service}_{part}" for service in services for part in ("SERVICE_HOST", "SERVICE_PORT", "PORT"))
    return frozenset(name for name in environ if name.startswith(starts)) if starts else frozenset()


def _is_list(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(_is_list(argument) for argument in get_args(annotation))
    kind = origin or annotation
    return isinstance(kind, type) and issubclass(kind, list | tuple | set | frozenset)
