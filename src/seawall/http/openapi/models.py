"""Schemas of Pydantic models, written by Pydantic and given a place among the others."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Literal

from seawall.http.openapi.usage import Mode

__all__ = ["model_schemas"]

_PREFIX = "#/components/schemas/"


def model_schemas(
    models: Mapping[Any, AbstractSet[Mode]], taken: AbstractSet[str]
) -> tuple[dict[tuple[Any, Mode], dict[str, Any]], dict[str, Any]]:
    """Return references to Pydantic models by model and mode, and the components they lead to.

    Pydantic itself decides which models need one schema and which need two; the two are called ``Order``
    (sent) and ``OrderInput`` (received).

    Args:
        models: The models and the ways they travel.
        taken: Names of components that are spoken for.
    """
    if not models:
        return {}, {}
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415 - optional; whoever has a model has it

    asked: list[tuple[Any, Literal["validation", "serialization"]]] = [
        (model, _way(mode)) for model, modes in models.items() for mode in sorted(modes)
    ]
    references, root = models_json_schema(list(dict.fromkeys(asked)), ref_template=f"{_PREFIX}{{model}}")
    components: dict[str, Any] = root.get("$defs", {})
    names = _names(components, taken)
    strict, lenient = (
        _reached(
            [references[model, way] for model, way in asked if way == "validation" and mode in models[model]],
            components,
        )
        for mode in (Mode.STRICT, Mode.INPUT)
    )
    for name in strict - lenient:
        if "properties" in components[name]:
            components[name].setdefault("additionalProperties", False)
    return (
        {
            (model, mode): _renamed(references[model, _way(mode)], names)
            for model, used in models.items()
            for mode in sorted(used)
        },
        {names[name]: _renamed(schema, names) for name, schema in components.items()},
    )


def _way(mode: Mode) -> Literal["validation", "serialization"]:
    return "serialization" if mode is Mode.OUTPUT else "validation"


def _names(components: Mapping[str, Any], taken: AbstractSet[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for name in components:
        free = name.removesuffix("-Output").replace("-Input", "Input")
        while free in taken or free in names.values():
            free = f"{free}Model"
        names[name] = free
    return names


def _reached(value: Any, components: Mapping[str, Any]) -> set[str]:
    """Return the names of the components that *value* leads to."""
    found: set[str] = set()
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, str) and part.startswith(_PREFIX) and (name := part.removeprefix(_PREFIX)) not in found:
            found.add(name)
            rest.append(components[name])
        elif isinstance(part, dict):
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_renamed(item, names) for item in value]
    if isinstance(value, str) and value.startswith(_PREFIX):
        return _PREFIX + names.get(value.removeprefix(_PREFIX), value.removeprefix(_PREFIX))
    return value
