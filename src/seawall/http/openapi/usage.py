"""Which named types a document uses, which way they travel, and what they are called in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, get_args, get_origin

import msgspec.inspect as mi

from seawall.http.binding import is_model
from seawall.operation import bare, union_members

__all__ = ["NAMED", "WITH_FIELDS", "Mode", "Usage", "type_name", "type_title"]


class Mode(StrEnum):
    """Which way a value travels; the schemas of the ways differ."""

    OUTPUT = "output"
    """Out: fields with defaults are always there, decimals are text."""
    INPUT = "input"
    """In: fields with defaults may be left out, decimals may be numbers, unknown fields are ignored."""
    STRICT = "strict"
    """As INPUT, and unknown fields are refused."""
    TEXT = "text"
    """In a path, query, header or cookie, where everything is text and nothing is null."""


WITH_FIELDS = (mi.StructType, mi.TypedDictType, mi.DataclassType, mi.NamedTupleType)
NAMED = (*WITH_FIELDS, mi.EnumType)


class Usage:
    """The named types in *uses*, pairs of type and mode.

    A type that goes both ways has one schema, that of the input: what is sent is valid by it as well,
    if less exactly described. Only a type that is refused unknown fields in one operation and not in
    another has two, the second called ``…Strict``.
    """

    def __init__(self, uses: Iterable[tuple[Any, Mode]]) -> None:
        self.named: dict[Any, mi.Type] = {}
        self.models: dict[Any, None] = {}
        self._modes: dict[Any, set[Mode]] = {}
        pairs = list(uses)
        for info, (_, mode) in zip(mi.multi_type_info([hint for hint, _ in pairs]), pairs, strict=True):
            self._walk(info, mode)
        self._names = _names(self.named)

    def modes(self, cls: Any) -> set[Mode]:
        """Return the ways *cls* travels."""
        return self._modes.get(cls, set())

    def canonical(self, cls: Any, mode: Mode) -> Mode:
        """Return the mode whose schema stands for *cls* used in *mode*."""
        modes = self._modes.get(cls, {mode})
        if isinstance(self.named.get(cls), mi.EnumType):
            return Mode.OUTPUT
        if mode is Mode.OUTPUT and Mode.INPUT in modes:
            return Mode.INPUT
        if mode is Mode.OUTPUT and Mode.STRICT in modes:
            return Mode.STRICT
        return mode

    def name(self, cls: Any, mode: Mode) -> str:
        """Return what the schema of *cls* in *mode* is called."""
        strict = self.canonical(cls, mode) is Mode.STRICT and Mode.INPUT in self.modes(cls)
        return f"{self._names[cls]}Strict" if strict else self._names[cls]

    def variants(self) -> dict[str, tuple[mi.Type, Mode]]:
        """Return every schema the document needs: name → type and mode."""
        return {
            self.name(cls, mode): (info, self.canonical(cls, mode))
            for cls, info in self.named.items()
            for mode in sorted(self.modes(cls))
        }

    def _walk(self, info: mi.Type, mode: Mode) -> None:
        if isinstance(info, mi.Metadata):
            self._walk(info.type, mode)
        elif isinstance(info, NAMED):
            modes = self._modes.setdefault(info.cls, set())
            if mode in modes:
                return
            modes.add(mode)
            self.named.setdefault(info.cls, info)
            for field in getattr(info, "fields", ()):
                self._walk(field.type, mode)
        elif isinstance(info, mi.CustomType) and is_model(info.cls):
            self._modes.setdefault(info.cls, set()).add(mode)
            self.models[info.cls] = None
        elif isinstance(info, mi.CollectionType):
            self._walk(info.item_type, mode)
        elif isinstance(info, mi.TupleType):
            for item in info.item_types:
                self._walk(item, mode)
        elif isinstance(info, mi.DictType | mi.FrozenDictType):
            self._walk(info.key_type, mode)
            self._walk(info.value_type, mode)
        elif isinstance(info, mi.UnionType):
            for member in info.types:
                self._walk(member, mode)


def type_title(hint: Any) -> str:
    """Return *hint* as a person writes it: ``Page[Product | None]``."""
    hint = bare(hint)
    if hint is None or hint is type(None):
        return "None"
    members = union_members(hint)
    if len(members) > 1:
        return " | ".join(map(type_title, members))
    arguments = get_args(hint)
    origin = get_origin(hint) or hint
    if not isinstance(origin, type):
        return str(hint).replace("typing.", "")
    return f"{origin.__name__}[{', '.join(map(type_title, arguments))}]" if arguments else origin.__name__


def type_name(hint: Any) -> str:
    """Return a name of *hint* for a component: ``Page[Product | None]`` → ``Page_Product_or_None``."""
    words = type_title(hint).replace(" | ", "_or_")
    return re.sub(r"[^A-Za-z0-9.-]+", "_", words).strip("_")


def _names(named: Iterable[Any]) -> dict[Any, str]:
    by_name: dict[str, list[Any]] = {}
    for cls in named:
        by_name.setdefault(type_name(cls), []).append(cls)
    names: dict[Any, str] = {}
    for name, classes in by_name.items():
        for cls in classes:
            names[cls] = name if len(classes) == 1 else _full_name(cls, name)
    taken: set[str] = set()
    for cls, name in names.items():  # two classes of one module and one name: local ones of two functions
        number, free = 2, name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        taken.add(free)
        names[cls] = free
    return names


def _full_name(cls: Any, name: str) -> str:
    origin = get_origin(cls) or cls
    scope = origin.__qualname__.rpartition(".")[0].replace("<locals>.", "").replace(".<locals>", "")
    return ".".join(part for part in (origin.__module__, scope, name) if part)
