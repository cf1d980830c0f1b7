"""Stacks as data: where code stands, in words short enough to read, and many of them folded into one tree."""

from __future__ import annotations

import functools
import linecache
import sysconfig
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType

__all__ = ["MAX_DEPTH", "Node", "Place", "describe_code", "fold", "frames_of", "origin", "places_of", "source_line"]

MAX_DEPTH = 128
"""Innermost frames that are kept of one stack."""


@dataclass(frozen=True, slots=True)
class Place:
    """A function, or a line of it.

    Args:
        name: The function's qualified name.
        file: Its file, as Python names it.
        line: The line.
    """

    name: str
    file: str
    line: int

    def __str__(self) -> str:
        """Return it as ``name (file:line)``."""
        return f"{self.name} ({short_path(self.file)}:{self.line})"


@dataclass(slots=True)
class Node:
    """A function in the tree of all stacks.

    Args:
        place: The function.
        total: Weight of the stacks that go through it.
        own: Weight of those that end in it.
        children: What it called.
    """

    place: Place
    total: float = 0
    own: float = 0
    children: dict[Place, Node] = field(default_factory=dict)


def fold(stacks: Iterable[tuple[Sequence[Place], float]], root: str = "all") -> Node:
    """Return one tree of many stacks, each outermost first and with its weight (Gregg's flame graphs, 2011)."""
    top = Node(Place(root, "", 0))
    for stack, weight in stacks:
        top.total += weight
        node = top
        for place in stack:
            node = node.children.setdefault(place, Node(place))
            node.total += weight
        node.own += weight
    return top


def frames_of(frame: FrameType | None) -> list[FrameType]:
    """Return the innermost frames of a stack, innermost first."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < MAX_DEPTH:
        frames.append(frame)
        frame = frame.f_back
    return frames


def places_of(frame: FrameType | None) -> tuple[Place, ...]:
    """Return the lines at which a stack stands, outermost first."""
    return tuple(
        Place(each.f_code.co_qualname, each.f_code.co_filename, each.f_lineno or 0)
        for each in reversed(frames_of(frame))
    )


def describe_code(code: CodeType) -> Place:
    """Return the function that *code* is, with the line it begins at."""
    name = "plan" if code.co_filename.startswith("<seawall") else code.co_qualname
    return Place(name, code.co_filename, code.co_firstlineno)


def source_line(place: Place) -> str:
    """Return the source at *place*; empty where there is none."""
    return linecache.getline(place.file, place.line).strip()[:200]


@functools.lru_cache(maxsize=4096)
def short_path(file: str) -> str:
    """Return *file* as short as it stays clear: below the working directory, site-packages or the standard library."""
    path = Path(file)
    parts = path.parts
    if "site-packages" in parts:
        return "/".join(parts[parts.index("site-packages") + 1 :])
    own = Path(__file__).parents[2]
    for root in (own, Path.cwd(), Path(sysconfig.get_path("stdlib"))):
        if path.is_absolute() and path.is_relative_to(root):
            return str(path.relative_to(root))
    return file


@functools.lru_cache(maxsize=4096)
def origin(file: str) -> str:
    """Return whose code *file* is: ``plan``, ``seawall``, ``installed``, ``python`` or ``own``."""
    if file.startswith("<seawall"):
        return "plan"
    if not file or file.startswith("<"):
        return "python"
    path = Path(file)
    if path.is_relative_to(Path(__file__).parent.parent):
        return "seawall"
    if "site-packages" in path.parts:
        return "installed"
    return "python" if path.is_relative_to(sysconfig.get_path("stdlib")) else "own"
