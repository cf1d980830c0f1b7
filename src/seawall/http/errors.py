"""Finds everything that is wrong with a body, once it is known that something is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping, MutableSequence, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, get_args, get_origin

import msgspec

from seawall.http.binding import has_fields, is_model, model_fields
from seawall.operation import bare, union_members
from seawall.problems import FieldError, pointer

__all__ = ["collect", "unknown_fields"]

MAX_ERRORS = 50
"""More errors than a person reads; what comes after them is not looked for."""
MAX_ITEMS = 1000
"""A longer list is not searched item by item: its first error is reported alone."""
MAX_DEPTH = 32

_LISTS: frozenset[Any] = frozenset(
    {list, set, frozenset, tuple, Sequence, MutableSequence, AbstractSet, Collection, Iterable}
)
_MAPPINGS: frozenset[Any] = frozenset({dict, Mapping, MutableMapping})

_PLACE = re.compile(r" - at `(key in )?\$(?P<path>.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `(.+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(.+)`")


def collect(value: Any, hint: Any, convert: Any) -> list[FieldError]:
    """Return what keeps *value* (decoded, untyped) from being a *hint*, each error with its pointer.

    Args:
        value: Dictionaries, lists, text, numbers.
        hint: The type it should have.
        convert: ``convert(value, hint)``; raises `msgspec.ValidationError`.
    """
    errors: list[FieldError] = []
    _collect(value, hint, (), errors, convert)
    return errors[:MAX_ERRORS]


def _collect(value: Any, hint: Any, parts: tuple[str | int, ...], errors: list[FieldError], convert: Any) -> None:
    if len(errors) >= MAX_ERRORS:
        return
    try:
        convert(value, hint)
    except msgspec.ValidationError as error:
        before = len(errors)
        if len(parts) < MAX_DEPTH:
            _descend(value, _candidate(value, hint), parts, errors, convert)
        if len(errors) == before:
            errors.append(from_message(str(error), parts))


def _descend(value: Any, hint: Any, parts: tuple[str | int, ...], errors: list[FieldError], convert: Any) -> None:
    inner = bare(hint)
    origin = get_origin(inner) or inner
    if is_model(inner):
        errors.extend(model_errors(inner, value, parts))
    elif has_fields(inner) and isinstance(value, dict):
        for field in model_fields(inner):
            if field.name in value:
                _collect(value[field.name], field.type, (*parts, field.name), errors, convert)
            elif field.required:
                errors.append(FieldError("This field is required.", pointer(*parts, field.name)))
        errors.extend(_unknown_of(value, inner, parts))
    elif isinstance(value, list) and origin in _LISTS and len(value) <= MAX_ITEMS:
        for index, (item, item_hint) in enumerate(zip(value, _item_hints(inner, len(value)), strict=False)):
            _collect(item, item_hint, (*parts, index), errors, convert)
    elif isinstance(value, dict) and origin in _MAPPINGS and len(value) <= MAX_ITEMS and get_args(inner):
        for key, item in value.items():
            _collect(item, get_args(inner)[1], (*parts, key), errors, convert)


def _item_hints(hint: Any, count: int) -> Iterable[Any]:
    """Return the types of the *count* items of a list, set or tuple."""
    arguments = get_args(hint) or (Any,)
    if get_origin(hint) is tuple and arguments[1:] != (...,):
        return arguments
    return [arguments[0]] * count


def model_errors(model: Any, value: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
    """Return everything that keeps *value* from being the Pydantic *model*."""
    import pydantic  # noqa: PLC0415 - optional; whoever has a model has it

    try:
        model.model_validate(value)
    except pydantic.ValidationError as error:
        return from_pydantic(error, parts)
    return []


def from_pydantic(error: Any, parts: tuple[str | int, ...] = ()) -> list[FieldError]:
    """Return the errors Pydantic's *error* tells, their places relative to *parts*."""
    return [
        FieldError(f"{item['msg']}.", pointer(*parts, *item["loc"]))
        for item in error.errors(include_url=False, include_context=False, include_input=False)[:MAX_ERRORS]
    ]


def _unknown_of(value: dict[str, Any], model: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
    config = getattr(get_origin(model) or model, "__struct_config__", None)
    if config is None or not config.forbid_unknown_fields:
        return []
    known = {field.name for field in model_fields(model)} | {config.tag_field}
    return [FieldError("This field is not known.", pointer(*parts, name)) for name in value if name not in known]


def _candidate(value: Any, hint: Any) -> Any:
    """Return the member of a union that *value* was most likely meant to be."""
    members = [member for member in union_members(bare(hint)) if member is not type(None)]
    if len(members) == 1:
        return members[0] if value is not None else hint
    if isinstance(value, dict):
        for member in members:
            config = getattr(member, "__struct_config__", None)
            if config is not None and config.tag_field in value and value[config.tag_field] == config.tag:
                return member
    return hint


def from_message(message: str, parts: tuple[str | int, ...]) -> FieldError:
    """Return the error that msgspec's *message* tells, its place relative to *parts*."""
    place = _PLACE.search(message)
    if place is not None:
        message = message[: place.start()]
        steps = [int(index) if index.isdigit() else name or index for name, index in _STEP.findall(place["path"])]
        parts = (*parts, *steps)
    if missing := _MISSING.fullmatch(message):
        return FieldError("This field is required.", pointer(*parts, missing[1]))
    if unknown := _UNKNOWN.fullmatch(message):
        return FieldError("This field is not known.", pointer(*parts, unknown[1]))
    return FieldError(message if message.endswith(".") else f"{message}.", pointer(*parts))


def unknown_fields(hint: Any) -> Any:
    """Return a function that lists the unknown fields of an untyped value, or None if types refuse them.

    A Struct with ``forbid_unknown_fields=True`` refuses them while it is decoded, at no cost; every other
    type with fields has its keys compared here.
    """
    return _finder(hint, {})


def _finder(hint: Any, seen: dict[Any, Any]) -> Any:
    inner = bare(hint)
    members = [member for member in union_members(inner) if member is not type(None)]
    if len(members) > 1:
        return _union_finder(members, seen)
    inner = bare(members[0]) if members else inner
    origin, arguments = get_origin(inner) or inner, get_args(inner)
    if has_fields(inner):
        return _model_finder(inner, seen)
    if origin is tuple and arguments[1:] != (...,):
        finders = [_finder(argument, seen) for argument in arguments]
        return _each(finders, _items) if any(finders) else None
    if origin in _LISTS and arguments:
        item = _finder(arguments[0], seen)
        return item and _each(item, _items)
    if origin in _MAPPINGS and len(arguments) == 2:
        item = _finder(arguments[1], seen)
        return item and _each(item, _members)
    return None


def _each(finder: Any, parts_of: Any) -> Any:
    """Return a function that asks *finder* (or the one at the index, of a list) about every part of a value."""

    def find(value: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
        found: list[FieldError] = []
        for key, part in parts_of(value):
            ask = finder if not isinstance(finder, list) else finder[key] if key < len(finder) else None
            if ask is not None:
                found.extend(ask(part, (*parts, key)))
            if len(found) >= MAX_ERRORS:
                break
        return found[:MAX_ERRORS]

    return find


def _items(value: Any) -> Iterator[tuple[int, Any]]:
    return enumerate(value if isinstance(value, list) else ())


def _members(value: Any) -> Iterable[tuple[Any, Any]]:
    return value.items() if isinstance(value, dict) else ()


def _union_finder(members: list[Any], seen: dict[Any, Any]) -> Any:
    by_tag: dict[Any, Any] = {}
    field = None
    for member in members:
        config = getattr(get_origin(member) or member, "__struct_config__", None)
        if config is not None and config.tag is not None:
            field = config.tag_field
            by_tag[config.tag] = _finder(member, seen)
    if field is None or not any(by_tag.values()):
        plain = [found for found in (_finder(member, seen) for member in members) if found]
        return plain[0] if len(plain) == 1 and len([m for m in members if has_fields(m)]) == 1 else None

    def find(value: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
        tag = value.get(field) if isinstance(value, dict) else None
        # Whatever stands in the tag's place was sent by the client; only these can be looked up.
        chosen = by_tag.get(tag) if isinstance(tag, str | int) else None
        return chosen(value, parts) if chosen else []

    return find


def _model_finder(model: Any, seen: dict[Any, Any]) -> Any:
    if model in seen:  # a recursive type: whatever it needs is decided where it was met first
        return seen[model]

    def find(value: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
        if not isinstance(value, Mapping):
            return []
        unknown = [name for name in value if name not in known] if known_only else []
        found = [FieldError("This field is not known.", pointer(*parts, name)) for name in unknown[:MAX_ERRORS]]
        for name, finder in children.items():
            if name in value and len(found) < MAX_ERRORS:
                found.extend(finder(value[name], (*parts, name)))
        return found

    seen[model] = find
    # A model with extra="allow" says itself that other fields are welcome; one with "forbid" refuses them itself.
    known_only = not (is_model(model) and model.model_config.get("extra") in ("allow", "forbid"))
    config = getattr(get_origin(model) or model, "__struct_config__", None)
    fields = model_fields(model)
    known = {field.name for field in fields}
    if config is not None and config.tag_field:
        known.add(config.tag_field)
    if is_model(model):
        known |= set(model.model_fields)
    children = {}
    for field in fields:
        finder = _finder(field.type, seen)
        if finder is not None:
            children[field.name] = finder
    strict = config is not None and config.forbid_unknown_fields
    if strict and all(finder is find for finder in children.values()):
        seen[model] = None
        return None
    return find
