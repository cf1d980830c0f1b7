"""Reads the sections of Google-style docstrings that an API document has a place for."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from seawall.problems import DeclarationError

__all__ = ["Docs", "Example", "class_docs", "read"]

_HEADING = re.compile(
    r"(Args|Arguments|Parameters|Attributes|Returns|Yields|Raises|Example|Example response):[ \t]*",
    re.IGNORECASE,
)
_ITEM = re.compile(r"([*`A-Za-z_][\w.`*-]*)(?:[ \t]*\([^)]*\))?:(?:[ \t]+|$)(.*)")
_FENCE = re.compile(r"```\w*")
_LISTS = {"arguments": "args", "parameters": "args", "attributes": "args", "args": "args", "raises": "raises"}


@dataclass(frozen=True, slots=True)
class Example:
    """A decoded JSON example."""

    value: Any


@dataclass(frozen=True, slots=True)
class Docs:
    """What a docstring says.

    Args:
        text: Everything that is in no section of its own, CommonMark.
        args: Descriptions of parameters or attributes, by name.
        raises: Descriptions of exceptions, by class name.
        returns: What the result is.
        request: The example of the ``Example:`` section.
        response: The example of the ``Example response:`` section.
    """

    text: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    raises: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    request: Example | None = None
    response: Example | None = None


def class_docs(cls: Any) -> Docs:
    """Return what the docstring of *cls* itself says; nothing where it was generated or inherited."""
    text = vars(cls).get("__doc__") or ""
    # dataclasses and named tuples without a docstring are given their signature as one
    if not text or re.match(rf"{re.escape(cls.__name__)}\(.*\)\Z", text, re.DOTALL) or text == "An enumeration.":
        return Docs()
    return read(inspect.cleandoc(text), f"class {cls.__qualname__}")


def read(text: str, where: str) -> Docs:
    """Read the cleaned docstring *text*.

    An ``Example:`` whose block does not begin like a JSON object, array or text stays part of the text.

    Raises:
        DeclarationError: A block that begins like JSON is not JSON; *where* is named.
    """
    plain: list[str] = []
    lists: dict[str, dict[str, str]] = {"args": {}, "raises": {}}
    returns = ""
    examples: dict[str, Example] = {}
    for heading, block in _sections(text):
        name = heading.strip().rstrip(":").lower()
        if name in _LISTS:
            lists[_LISTS[name]].update(_items(block))
        elif name in {"returns", "yields"}:
            returns = " ".join(line.strip() for line in block if line.strip())
        elif name in {"example", "example response"} and (found := _example(block, name, where)):
            examples[name] = found
        else:
            plain += [heading, *(f"    {line}" if line else "" for line in block)] if heading else block
    return Docs(
        "\n".join(plain).strip(),
        lists["args"],
        lists["raises"],
        returns,
        examples.get("example"),
        examples.get("example response"),
    )


def _sections(text: str) -> list[tuple[str, list[str]]]:
    """Split into (heading, dedented lines); text outside sections has the heading ``""``."""
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        inside = line[:1] in {" ", "\t"} or not line.strip()
        if sections[-1][0] and not inside:
            sections.append(("", []))
        if _HEADING.fullmatch(line):
            sections.append((line, []))
        else:
            sections[-1][1].append(line.rstrip())
    return [
        (heading, inspect.cleandoc("\n" + "\n".join(lines)).splitlines() if heading else lines)
        for heading, lines in sections
    ]


def _items(block: list[str]) -> dict[str, str]:
    items: dict[str, str] = {}
    name = None
    for line in block:
        if line[:1] not in {" ", "\t"} and (match := _ITEM.match(line)):
            name = match[1].strip("`*")
            items[name] = match[2].strip()
        elif name is not None and line.strip():
            items[name] = f"{items[name]} {line.strip()}".strip()
    return items


def _example(block: list[str], name: str, where: str) -> Example | None:
    text = "\n".join(line for line in block if not _FENCE.fullmatch(line.strip())).strip()
    if not text.startswith(("{", "[", '"')):
        return None
    try:
        return Example(msgspec.json.decode(text))
    except msgspec.DecodeError as error:
        raise DeclarationError(
            f"{where}: the block under '{name.capitalize()}:' in the docstring is not JSON ({error}); "
            "correct it, or begin it with other text if it is not meant to be."
        ) from None
