"""One body, declared in five ways."""

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

import attrs
import msgspec
import pydantic

from seawall import Service

service = Service("kinds")


# region: kinds
class StructPoint(msgspec.Struct):
    """The fastest to decode."""

    x: int
    y: Annotated[int, msgspec.Meta(ge=0)] = 0


@dataclass
class DataPoint:
    """The standard library's."""

    x: int
    y: Annotated[int, msgspec.Meta(ge=0)] = 0


@attrs.define
class AttrsPoint:
    """A class of attrs."""

    x: int
    y: Annotated[int, msgspec.Meta(ge=0)] = 0


class DictPoint(TypedDict):
    """A dictionary with known keys."""

    x: int
    y: NotRequired[Annotated[int, msgspec.Meta(ge=0)]]


class ModelPoint(pydantic.BaseModel):
    """A Pydantic model, with Pydantic's own constraints and validators."""

    x: int
    y: int = pydantic.Field(default=0, ge=0)


# endregion


@service.post("/struct")
async def take_struct(point: StructPoint) -> StructPoint:
    """Take and return a Struct."""
    return point


@service.post("/dataclass")
async def take_dataclass(point: DataPoint) -> DataPoint:
    """Take and return a dataclass."""
    return point


@service.post("/attrs")
async def take_attrs(point: AttrsPoint) -> AttrsPoint:
    """Take and return a class of attrs."""
    return point


@service.post("/typeddict")
async def take_typeddict(point: DictPoint) -> DictPoint:
    """Take and return a TypedDict."""
    return point


@service.post("/pydantic")
async def take_model(point: ModelPoint) -> ModelPoint:
    """Take and return a Pydantic model."""
    return point
