"""Policy options by operation name: ``[operations.NAME]``, laid over what the code says."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NoReturn

from seawall.settings.errors import Wrong, shown

__all__ = ["OperationsSettings"]

PREFIX = "SEAWALL_OPERATIONS__"
TABLE = "operations"

Options = Mapping[str, Any]
_NOTHING: Options = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True)
class OperationsSettings:
    """Options as they were written; whoever compiles the operation lays them over its policy, which checks them.

    Args:
        overrides: Operation name → option → value. From the environment the name is in lower case, a value
            that reads as JSON is what JSON says, and any other is text. The text ``none`` is None: TOML has no
            word for it.
        origins: Where each option came from, for messages: ``origins["read_order", "timeout"]``.
    """

    overrides: Mapping[str, Options] = dataclasses.field(default_factory=lambda: MappingProxyType({}))
    origins: Mapping[tuple[str, str], str] = dataclasses.field(
        default_factory=lambda: MappingProxyType({}), compare=False, repr=False
    )

    def of(self, operation: str) -> Options:
        """Return the options of an operation; none when nothing is set for it."""
        return self.overrides.get(operation, _NOTHING)


def read_operations(table: object, file: str, environ: Mapping[str, str], wrong: list[Wrong]) -> OperationsSettings:
    """Return the options of the file's table with those of the environment over them.

    Args:
        table: What the file says under ``operations``.
        file: The file's name, for messages.
        environ: The environment.
        wrong: Takes what is wrong.
    """
    overrides: dict[str, dict[str, Any]] = {}
    origins: dict[tuple[str, str], str] = {}
    for name, options in (table if isinstance(table, Mapping) else {}).items():
        if not isinstance(options, Mapping):
            wrong.append(
                Wrong(
                    f"{file} [{TABLE}] {name}",
                    "it must be a table: options stand under the name of their operation",
                    f"write [{TABLE}.OPERATION] and, under it, {name} = {options!r}",
                    shown(options),
                )
            )
            continue
        for option, value in options.items():
            overrides.setdefault(name, {})[option] = _none(value)
            origins[name, option] = f"{file} [{TABLE}.{name}] {option}"
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX):
            continue
        name, _, option = variable.removeprefix(PREFIX).lower().rpartition("__")
        if not name or not option:
            wrong.append(
                Wrong(
                    f"environment variable {variable}",
                    "it names no option of an operation",
                    f"write {PREFIX}NAME__OPTION, for example {PREFIX}READ_ORDER__TIMEOUT=5s, or unset it",
                )
            )
            continue
        overrides.setdefault(name, {})[option] = _none(_value(text))
        origins[name, option] = f"environment variable {variable}"
    frozen = {name: MappingProxyType(options) for name, options in overrides.items()}
    return OperationsSettings(MappingProxyType(frozen), MappingProxyType(origins))


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


def _none(value: Any) -> Any:
    return None if value == "none" else value
