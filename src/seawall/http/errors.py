"""Finds everything that is wrong with a body, once it is known that something is."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    if has_fields(inner) and isinstance(value, dict) and not is_model(inner):
        for field in model_fields(inner):
            if field.name in value:
                _collect(value[field.name], field.type, (*parts, field.name), errors, convert)
            elif field.required:
                errors.append(FieldError("This field is required.", pointer(*parts, field.name)))
        errors.extend(_unknown_of(value, inner, parts))
    elif isinstance(value, list) and origin in (list, set, frozenset) and len(value) <= MAX_ITEMS:
        item_hint = (get_args(inner) or (Any,))[0]
        for index, item in enumerate(value):
            _collect(item, item_hint, (*parts, index), errors, convert)
    elif isinstance(value, dict) and origin is dict and len(value) <= MAX_ITEMS and get_args(inner):
        for key, item in value.items():
            _collect(item, get_args(inner)[1], (*parts, key), errors, convert)


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
    if origin in (list, set, frozenset) and arguments:
        item = _finder(arguments[0], seen)
        return item and (
            lambda value, parts: [
                error
                for index, part in enumerate(value if isinstance(value, list) else ())
                for error in item(part, (*parts, index))
            ]
        )
    if origin is dict and len(arguments) == 2:
        item = _finder(arguments[1], seen)
        return item and (
            lambda value, parts: [
                error
                for key, part in (value.items() if isinstance(value, dict) else ())
                for error in item(part, (*parts, key))
            ]
        )
    return None


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
        chosen = by_tag.get(value.get(field)) if isinstance(value, dict) else None
        return chosen(value, parts) if chosen else []

    return find


def _model_finder(model: Any, seen: dict[Any, Any]) -> Any:
    if model in seen:  # a recursive type: whatever it needs is decided where it was met first
        return seen[model]

    def find(value: Any, parts: tuple[str | int, ...]) -> list[FieldError]:
        if not isinstance(value, Mapping):
            return []
        unknown = [name for name in value if name not in known] if known_only else []
        found = [FieldError("This field is not known.", pointer(*parts, name)) for name in unknown]
        for name, finder in children.items():
            if name in value and len(found) < MAX_ERRORS:
                found.extend(finder(value[name], (*parts, name)))
        return found

    seen[model] = find
    # A model with extra="allow" says itself that other fields are welcome.
    known_only = not (is_model(model) and model.model_config.get("extra") == "allow")
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
