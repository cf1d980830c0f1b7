"""Reads tables of settings from the environment and the file, and collects what is wrong with them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from seawall.settings.describing import default_text, expectation
from seawall.settings.environment import Environment
from seawall.settings.errors import Wrong, nearest, shown, without_passwords
from seawall.settings.table import Table, is_secret

__all__ = ["CONFIG", "DEFAULT_FILE", "Reader"]

CONFIG = "SEAWALL_CONFIG"
"""The environment variable that says which file to read."""
DEFAULT_FILE = "seawall.toml"

TableT = TypeVar("TableT", bound=Table)


class Reader:
    """The environment and the file of one `load`, and everything found wrong with them so far.

    Args:
        path: The file; None for the one `CONFIG` names, or `DEFAULT_FILE` if it is there.
        environ: The environment.
    """

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.wrong: list[Wrong] = []
        self.file = DEFAULT_FILE
        self.document = self._read_file(path)

    def read(self, kind: type[TableT]) -> TableT | None:
        """Return the table's settings; None when something is wrong with them, which `wrong` then says."""
        written = self.document.get(kind.toml_table, {})
        if not isinstance(written, dict):
            self.wrong.append(
                Wrong(
                    f"{self.file} {kind.toml_table}",
                    "it must be a table",
                    f"write [{kind.toml_table}] on a line of its own, and its settings below",
                    shown(written),
                )
            )
            written = {}
        for key in sorted(written.keys() - kind.model_fields.keys()):
            self.wrong.append(self._unknown_key(kind, key))
        written = {key: value for key, value in written.items() if key in kind.model_fields}
        environment = Environment(kind, self.environ)
        try:
            return kind(**_merge(written, environment()))
        except ValidationError as error:
            self.wrong += [_wrong(self.file, kind, written, environment, item) for item in error.errors()]
            return None

    def _read_file(self, path: Path | None) -> Mapping[str, Any]:
        named = self.environ.get(CONFIG)
        if path is None and not named:
            path = Path(DEFAULT_FILE)
            if not path.exists():
                return {}
            where, fix = str(path), "correct the file, or move it away"
        elif path is None:
            path = Path(named or "")
            where, fix = (
                f"environment variable {CONFIG}",
                f"let {CONFIG} name a TOML file that can be read, or unset it",
            )
        else:
            where, fix = "the settings file", "name a TOML file that can be read"
        self.file = str(path)
        try:
            return tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            problem = f"the file cannot be read: {error.strerror}"
        except UnicodeDecodeError as error:
            problem = f"the file is not UTF-8 at byte {error.start}"
        except (tomllib.TOMLDecodeError, RecursionError) as error:
            problem = f"the file is not TOML: {error}"
        self.wrong.append(Wrong(where, problem, fix, shown(str(path))))
        return {}

    def _unknown_key(self, kind: type[Table], key: str) -> Wrong:
        guess = nearest(key, kind.model_fields)
        fix = f"did you mean {guess!r}?" if guess else f"remove it; known are {', '.join(kind.model_fields)}"
        return Wrong(f"{self.file} [{kind.toml_table}] {key}", "there is no such setting", fix)


def _wrong(
    file: str, kind: type[Table], written: Mapping[str, Any], environment: Environment, item: ErrorDetails
) -> Wrong:
    """Say in our words what pydantic found."""
    table = f"{file} [{kind.toml_table}]"
    problem = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    problem = without_passwords(problem.replace("Input should", "it should", 1))
    if not item["loc"]:
        return Wrong(table, problem, f"change the settings of [{kind.toml_table}] that it names")
    name, inner = str(item["loc"][0]), item["loc"][1:]
    field = kind.model_fields[name]
    variable = environment.origin(name, *inner)
    place = name + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in inner)
    where = f"environment variable {variable}" if variable else f"{table} {place}"
    if item["type"] == "missing":
        return Wrong(
            f"environment variable {environment.names[name]}, or {table} {name}" if not inner else where,
            "it is required, and set nowhere",
            f"set it in the environment, or write {name} = … under [{kind.toml_table}]",
            expected=expectation(field) if not inner else None,
        )
    if is_secret(field) and not item["type"].startswith(("string_", "bytes_", "too_")):
        # A validator may have quoted the secret: only of pydantic's own messages is it known that they do not.
        problem = "it is not valid"
    nested = bool(inner) and not isinstance(inner[0], int)
    value = environment.value(variable) if variable else item["input"]
    return Wrong(
        where if variable or name in written else f"the default of {table} {name}",
        problem,
        _fix(field, variable, nested=nested),
        shown(value, secret=is_secret(field)),
        None if nested else expectation(field),
    )


def _fix(field: FieldInfo, variable: str | None, *, nested: bool) -> str:
    if field.is_required() or nested:
        return "give it a value that is expected"
    remove = f"unset {variable}" if variable else "remove the line"
    default = default_text(field)
    return f"give it a value that is expected, or {remove}" + (f" for the default {default}" if default else "")


def _merge(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """Return *lower* with *upper* over it, table by table."""
    merged = dict(lower)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged
