"""Strikes out what must not be written: by the name it is kept under, by its type, and by its form."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import msgspec

__all__ = ["HIDDEN", "Secret", "hide", "in_one_line", "is_secret_name", "without_credentials"]

HIDDEN = "[hidden]"
_DEEPEST = 6

_SECRET = re.compile(
    r"authori[sz]ation|passw(or)?d|passphrase|secret|cookie|credential|private_?key|api_?key|(^|_|-)token($|_|-)",
    re.IGNORECASE,
)
# user:password@host in a URL: what drivers put into the errors they raise.
_LINE_ENDS = re.compile("[\x7f-\x9f\u2028\u2029]")
_USERINFO = re.compile(r"(?<=://)([^\s/:@'\"]{0,256}):[^\s/@'\"]{1,1024}@")


class Secret:
    """A text that shows itself to nobody who does not ask for it.

    In logs, messages, tracebacks and representations it is ``[hidden]``; it cannot be encoded or joined to a text by
    accident, because it is none. `reveal` returns it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text."""
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return self._value == other._value if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __len__(self) -> int:
        return len(self._value)


def is_secret_name(name: str) -> bool:
    """Return whether what is kept under *name* is to be struck out."""
    return _SECRET.search(name) is not None


def without_credentials(text: str) -> str:
    """Return *text* with the passwords in its URLs struck out."""
    return _USERINFO.sub(rf"\1:{HIDDEN}@", text) if "://" in text else text


def in_one_line(text: str) -> str:
    """Return the JSON document *text* without characters that JSON allows and some readers end a line at."""
    if text.isascii():
        return text.replace("\x7f", "\\u007f")
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def hide(value: Any, depth: int = 0) -> Any:
    """Return *value* with what is secret in it struck out, as mappings, lists and plain values.

    Structs, dataclasses, attrs classes and Pydantic models become mappings. What lies deeper than six levels is shown
    as text of its type only.
    """
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Secret) or hasattr(value, "get_secret_value"):  # Pydantic's SecretStr and its kin
        return HIDDEN
    if depth > _DEEPEST:
        return f"<{type(value).__name__}>"
    named = _named(value)
    if named is not None:
        return {
            str(key): HIDDEN if isinstance(key, str) and is_secret_name(key) and inner else hide(inner, depth + 1)
            for key, inner in named.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [hide(inner, depth + 1) for inner in value]
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"<{len(value)} bytes>"
    return value


def _named(value: Any) -> Mapping[Any, Any] | None:
    """Return the parts of *value* by their names, or None if it is nothing that has named parts."""
    if isinstance(value, Mapping):
        return value
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in kind.__struct_fields__}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value) if field.repr}
    for names in ("model_fields", "__attrs_attrs__"):
        known = getattr(kind, names, None)
        if known is not None:
            listed = known if names == "model_fields" else [attribute.name for attribute in known]
            return {name: getattr(value, name, None) for name in listed}
    return None
