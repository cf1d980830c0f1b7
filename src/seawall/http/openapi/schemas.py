"""JSON Schema (2020-12) of types, written from what ``msgspec.inspect`` knows about them.

``msgspec.json.schema_components`` writes one schema per type whichever way it travels. A document needs
more: whether unknown fields are refused, what a response is sure to hold, that a decimal may be sent as a
number, the format of date-times without a constraint on their zone, components of Pydantic, readable names
of generics. Where none of that matters the two agree, which a test sees to.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_origin

import msgspec
import msgspec.inspect as mi
from starlette.datastructures import UploadFile

from seawall.http.binding import is_model
from seawall.http.openapi.docstrings import class_docs
from seawall.http.openapi.models import model_schemas
from seawall.http.openapi.usage import NAMED, WITH_FIELDS, Mode, Usage, type_title
from seawall.problems import DeclarationError

__all__ = ["SchemaHook", "Schemas", "plain_value"]

SchemaHook = Callable[[Any], Mapping[str, Any]]
"""Returns the schema of a type msgspec does not know; raises NotImplementedError for others."""

DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_FILE = {"type": "string", "format": "binary", "contentMediaType": "application/octet-stream"}
_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


class Schemas:
    """The schemas of one document.

    Args:
        uses: Every type the document mentions and the way it travels there.
        hook: For types msgspec does not know.
    """

    def __init__(self, uses: Iterable[tuple[Any, Mode]], hook: SchemaHook | None = None) -> None:
        self._usage = Usage(uses)
        self._hook = hook
        variants = self._usage.variants()
        self._model_refs, models = model_schemas(
            {model: self._usage.modes(model) for model in self._usage.models}, frozenset(variants)
        )
        self.components: dict[str, Any] = dict(
            sorted({**models, **{name: self._named(*variant) for name, variant in variants.items()}}.items())
        )

    def schema(self, hint: Any, mode: Mode) -> dict[str, Any]:
        """Return the schema of *hint*, one of the *uses*; named types are references.

        Raises:
            DeclarationError: The type has no JSON Schema.
        """
        return self._schema(mi.type_info(hint), mode)

    def _schema(self, info: mi.Type, mode: Mode) -> dict[str, Any]:
        extra: dict[str, Any] = {}
        while isinstance(info, mi.Metadata):
            extra = {**(info.extra_json_schema or {}), **extra}
            info = info.type
        if isinstance(info, NAMED):
            return {"$ref": self._reference(info.cls, mode), **extra}
        if isinstance(info, mi.CustomType):
            return {**self._custom(info.cls, mode, described=bool(extra)), **extra}
        return {**self._plain(info, mode), **extra}

    def _reference(self, cls: Any, mode: Mode) -> str:
        return f"#/components/schemas/{self._usage.name(cls, mode)}"

    def _plain(self, info: mi.Type, mode: Mode) -> dict[str, Any]:  # noqa: C901, PLR0912 - one branch a type
        match info:
            case mi.AnyType() | mi.RawType():
                return {}
            case mi.NoneType():
                return {"type": "null"}
            case mi.BoolType():
                return {"type": "boolean"}
            case mi.IntType() | mi.FloatType():
                return {"type": "integer" if isinstance(info, mi.IntType) else "number", **_range(info)}
            case mi.StrType():
                return {"type": "string", **_length(info, "Length"), **_given("pattern", info.pattern)}
            case mi.BytesType() | mi.ByteArrayType() | mi.MemoryViewType():
                return {
                    "type": "string",
                    "contentEncoding": "base64",
                    **_length(info, "Length", _base64_length),
                }
            case mi.DateTimeType():
                return {"type": "string", "format": "date-time-local" if info.tz is False else "date-time"}
            case mi.TimeType():
                return {"type": "string", "format": "time" if info.tz else "time-local"}
            case mi.DateType():
                return {"type": "string", "format": "date"}
            case mi.TimeDeltaType():
                return {"type": "string", "format": "duration"}
            case mi.UUIDType():
                return {"type": "string", "format": "uuid"}
            case mi.DecimalType():
                number = mode in (Mode.INPUT, Mode.STRICT)
                return {
                    "type": ["string", "number"] if number else "string",
                    "format": "decimal",
                    "pattern": DECIMAL,
                }
            case mi.LiteralType():
                return _enumeration(info.values)
            case mi.CollectionType():
                unique = {"uniqueItems": True} if isinstance(info, mi.SetType | mi.FrozenSetType) else {}
                # Repeats are taken in and dropped; only what goes out is certain to have none.
                unique = unique if mode is Mode.OUTPUT else {}
                return {
                    "type": "array",
                    "items": self._schema(info.item_type, mode),
                    **_length(info, "Items"),
                    **unique,
                }
            case mi.TupleType():
                return _fixed([self._schema(item, mode) for item in info.item_types])
            case mi.DictType() | mi.FrozenDictType():
                return self._mapping(info, mode)
            case mi.UnionType():
                return self._union(info, mode)
        raise DeclarationError(f"type {info!r} has no JSON Schema; annotate it with Meta(extra_json_schema={{…}}).")

    def _mapping(self, info: mi.DictType | mi.FrozenDictType, mode: Mode) -> dict[str, Any]:
        # Keys are text in JSON, whatever their type is here: only what is said of text can be said of them.
        keys = self._schema(info.key_type, Mode.TEXT)
        if keys.get("type") == "string":
            del keys["type"]
        elif "$ref" not in keys:
            keys = {}
        return {
            "type": "object",
            **_given("propertyNames", keys or None),
            "additionalProperties": self._schema(info.value_type, mode),
            **_length(info, "Properties"),
        }

    def _union(self, info: mi.UnionType, mode: Mode) -> dict[str, Any]:
        members = [member for member in info.types if mode is not Mode.TEXT or not isinstance(member, mi.NoneType)]
        if len(members) == 1:
            return self._schema(members[0], mode)
        tagged = [member for member in map(_without_metadata, members) if isinstance(member, mi.StructType)]
        if len(tagged) < 2 or any(member.array_like for member in tagged):
            return {"anyOf": [self._schema(member, mode) for member in members]}
        choice: dict[str, Any] = {"oneOf": [self._schema(member, mode) for member in tagged]}
        if all(isinstance(member.tag, str) for member in tagged):
            choice["discriminator"] = {
                "propertyName": tagged[0].tag_field,
                "mapping": {str(member.tag): self._reference(member.cls, mode) for member in tagged},
            }
        others = [member for member in members if not isinstance(_without_metadata(member), mi.StructType)]
        return {"anyOf": [choice, *(self._schema(member, mode) for member in others)]} if others else choice

    def _custom(self, cls: Any, mode: Mode, *, described: bool) -> dict[str, Any]:
        if is_model(cls):
            return dict(self._model_refs[cls, mode])
        if isinstance(cls, type) and issubclass(cls, UploadFile):
            return dict(_FILE)
        if self._hook is not None:
            try:
                return dict(self._hook(cls))
            except NotImplementedError:
                pass
        if described:
            return {}
        raise DeclarationError(
            f"type {cls!r} has no JSON Schema: annotate it with msgspec.Meta(extra_json_schema={{…}}), or "
            "use a type that has fields."
        )

    def _named(self, info: mi.Type, mode: Mode) -> dict[str, Any]:
        """Return the schema of a named type itself, not a reference to it."""
        if isinstance(info, mi.EnumType):
            return _enum(info.cls)
        assert isinstance(info, WITH_FIELDS)  # noqa: S101 - what Usage names
        origin = get_origin(info.cls) or info.cls
        docs = class_docs(origin)
        properties = {field.encode_name: self._field(field, mode, docs.args.get(field.name)) for field in info.fields}
        required = [field.encode_name for field in info.fields if field.required or _always_sent(info, field, mode)]
        head = {"title": type_title(info.cls), **_given("description", docs.text or None)}
        closed = mode is Mode.STRICT
        positional = isinstance(info, mi.NamedTupleType)
        if isinstance(info, mi.StructType):
            closed = info.forbid_unknown_fields or (closed and not info.array_like)
            positional = info.array_like
            if info.tag_field is not None:
                properties = {info.tag_field: {"const": info.tag}, **properties}
                required = [info.tag_field, *required]
        if positional:
            most = {"maxItems": len(properties)} if closed or isinstance(info, mi.NamedTupleType) else {}
            least = len(required) if mode is not Mode.OUTPUT else len(properties)
            return {**head, "type": "array", "prefixItems": [*properties.values()], "minItems": least, **most}
        return {
            **head,
            "type": "object",
            "properties": properties,
            **_given("required", required or None),
            **({"additionalProperties": False} if closed else {}),
        }

    def _field(self, field: mi.Field, mode: Mode, description: str | None) -> dict[str, Any]:
        schema = self._schema(field.type, mode)
        if description and "description" not in schema:
            schema["description"] = description
        default = field.default
        if field.default_factory in (list, dict, set, frozenset, tuple):
            default = field.default_factory()
        plain = plain_value(default)
        if plain is not msgspec.NODEFAULT:
            schema["default"] = plain
        return schema


def plain_value(value: Any) -> Any:
    """Return *value* as JSON has it, or ``msgspec.NODEFAULT`` where there is none or it cannot be had."""
    if value is msgspec.NODEFAULT or value is msgspec.UNSET:
        return msgspec.NODEFAULT
    try:
        return msgspec.to_builtins(value, str_keys=True, builtin_types=())
    except (TypeError, NotImplementedError):
        return msgspec.NODEFAULT


def _always_sent(info: mi.Type, field: mi.Field, mode: Mode) -> bool:
    if mode is not Mode.OUTPUT or isinstance(info, mi.TypedDictType):
        return False
    if field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT:
        return False  # UNSET by default
    if not isinstance(info, mi.StructType):
        return True
    return not (get_origin(info.cls) or info.cls).__struct_config__.omit_defaults


def _without_metadata(info: mi.Type) -> mi.Type:
    while isinstance(info, mi.Metadata):
        info = info.type
    return info


def _given(name: str, value: Any) -> dict[str, Any]:
    return {} if value is None else {name: value}


def _range(info: mi.IntType | mi.FloatType) -> dict[str, Any]:
    limits = {
        "minimum": info.ge,
        "exclusiveMinimum": info.gt,
        "maximum": info.le,
        "exclusiveMaximum": info.lt,
        "multipleOf": info.multiple_of,
    }
    return {name: value for name, value in limits.items() if value is not None}


def _length(info: Any, of: str, count: Callable[[int], int] = int) -> dict[str, Any]:
    limits = {f"min{of}": info.min_length, f"max{of}": info.max_length}
    return {name: count(value) for name, value in limits.items() if value is not None}


def _base64_length(count: int) -> int:
    return 4 * ((count + 2) // 3)


def _fixed(items: list[dict[str, Any]]) -> dict[str, Any]:
    if not items:
        return {"type": "array", "maxItems": 0}
    return {"type": "array", "prefixItems": items, "items": False, "minItems": len(items)}


def _enumeration(values: Iterable[Any]) -> dict[str, Any]:
    values = sorted(values, key=lambda value: (value is None, isinstance(value, str), value))
    kinds = list(dict.fromkeys(_JSON_TYPES[type(value)] for value in values if type(value) in _JSON_TYPES))
    return {**_given("type", kinds[0] if len(kinds) == 1 else kinds or None), "enum": values}


def _enum(cls: Any) -> dict[str, Any]:
    docs = class_docs(cls)
    values = {name: plain_value(member.value) for name, member in cls.__members__.items()}
    described = [(values[name], text) for name, text in docs.args.items() if name in values]
    lines = [docs.text, "\n".join(f"- `{value}`: {text}" for value, text in described)]
    kinds = {_JSON_TYPES.get(type(value)) for value in values.values()} - {None}
    return {
        "title": cls.__name__,
        **_given("description", inspect.cleandoc("\n\n".join(filter(None, lines))) or None),
        **({"type": kinds.pop()} if len(kinds) == 1 else {}),
        "enum": list(dict.fromkeys(values.values())),
        **_given("x-enumDescriptions", {str(value): text for value, text in described} or None),
    }
