"""A setting in words: what values it takes, for error messages and for the reference."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import SecretBytes, SecretStr
from pydantic.fields import FieldInfo

from seawall.settings.errors import shown
from seawall.settings.table import Unit, is_secret, metadata_of
from seawall.units import duration_text, size_text

__all__ = ["default_text", "expectation", "kind"]

_KINDS: Mapping[type, str] = types.MappingProxyType(
    {
        bool: "true or false",
        int: "whole number",
        float: "number",
        str: "text",
        bytes: "text",
        type(None): "nothing",
    }
)


def kind(annotation: Any) -> str:
    """Return the type of a setting in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return kind(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{choice}"' for choice in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(kind(argument) for argument in arguments if argument is not type(None))
    if not isinstance(origin or annotation, type):
        return str(annotation)
    if origin is not None:
        if issubclass(origin, Mapping):
            return "table"
        members = " or ".join(dict.fromkeys(kind(argument) for argument in arguments if argument is not ...))
        return f"list of {members}" if members else "list"
    if issubclass(annotation, SecretStr | SecretBytes):
        return "secret text"
    if issubclass(annotation, PurePath):
        return "path"
    return _KINDS.get(annotation, annotation.__name__)


def expectation(field: FieldInfo) -> str:
    """Return the values a field takes: its type, bounds and unit."""
    unit = metadata_of(field, Unit)
    text = unit.name if unit else kind(field.annotation)
    if limits := bounds(field):
        text += f", {limits}"
    if unit:
        text += f"; written as {unit.examples}"
    if _is_list(field):
        text += "; in the environment separated by commas"
    return text


def bounds(field: FieldInfo) -> str:
    """Return the least and greatest values, or lengths, of a field; empty when it has none."""
    parts: list[str] = []
    for item in field.metadata:
        match item:
            case Ge():
                parts.append(f"at least {amount(field, item.ge)}")
            case Gt():
                parts.append(f"more than {amount(field, item.gt)}")
            case Le():
                parts.append(f"at most {amount(field, item.le)}")
            case Lt():
                parts.append(f"less than {amount(field, item.lt)}")
            case MinLen() if item.min_length == 1:
                parts.append("not empty")
            case MinLen():
                parts.append(f"at least {item.min_length} long")
            case MaxLen():
                parts.append(f"at most {item.max_length} long")
            case _:
                pass
    return ", ".join(parts)


def amount(field: FieldInfo, value: Any) -> str:
    """Return a number in the field's unit, as a person would write it."""
    unit = metadata_of(field, Unit)
    if unit is None:
        return f"{value}"
    return size_text(value) if unit.name == "bytes" else duration_text(value)


def default_text(field: FieldInfo) -> str | None:
    """Return the default as it would be written in ``seawall.toml``; None when there is none to write."""
    default = field.get_default(call_default_factory=True, validated_data={})
    if field.is_required() or default is None or is_secret(field):
        return None
    if metadata_of(field, Unit) and default:
        return f'"{amount(field, default)}"'
    return literal(default)


def literal(value: Any) -> str:
    """Return *value* in the syntax of TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, str):
        return f"[{', '.join(map(literal, value))}]"
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def value_text(field: FieldInfo, value: object) -> str:
    """Return the value of a field as it may stand in a message."""
    return shown(value, secret=is_secret(field))


def _is_list(field: FieldInfo) -> bool:
    origin = get_origin(field.annotation)
    return isinstance(origin, type) and origin is not types.UnionType and not issubclass(origin, Mapping)
