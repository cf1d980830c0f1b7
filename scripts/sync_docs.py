# ruff: noqa: INP001 - a script, in no package
"""Keeps the documentation true: its code, its answers and its tables come from the project itself.

A comment in Markdown says what stands below it; this script writes it, a test fails where it differs::

    <!-- example: examples/docs/hello.py#region -->    the code block below is that file, or that region of it
    <!-- curl: examples/docs/hello.py -->              its "$ curl …" lines, each with what the service answers
    <!-- command: examples/docs -->                    its "$ seawall …" lines, each with what it prints there
    <!-- table: places -->  …  <!-- /table -->         a table made by `docs_tables`

Regions of a file stand between ``# region: name`` and ``# endregion``.

Usage: ``python scripts/sync_docs.py`` writes, ``python scripts/sync_docs.py --check`` only says what differs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import docs_sessions
import docs_tables

__all__ = ["ROOT", "documents", "example", "render"]

ROOT = Path(__file__).resolve().parent.parent

_BLOCK = re.compile(
    r"^(?P<marker><!-- (?P<kind>example|curl|command): (?P<target>\S+) -->\n+)"
    r"(?P<fence>```(?P<language>\w*))\n(?P<body>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_TABLE = re.compile(r"^(<!-- table: ([\w-]+) -->\n).*?^(<!-- /table -->)$", re.MULTILINE | re.DOTALL)
_REGION = re.compile(r"^[ \t]*# (?:region: (?P<name>[\w-]+)|(?P<end>endregion))[ \t]*$")


def documents() -> list[Path]:
    """Return every Markdown file that may hold markers."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def render(text: str) -> str:
    """Return the Markdown *text* with every marked block as it should be.

    Raises:
        ValueError: A marker names a file, region or table that is not there.
    """
    return _TABLE.sub(_table, _BLOCK.sub(_block, text))


def example(target: str) -> str:
    """Return the file, or the region of it, that *target* (``path#region``) names, dedented.

    Raises:
        ValueError: There is no such file or region.
    """
    path, _, region = target.partition("#")
    file = ROOT / path
    if not file.is_file():
        raise ValueError(f"{target}: there is no file {path}")
    lines = list(_region(file, region)) if region else _without_marks(file)
    if not any(line.strip() for line in lines):
        raise ValueError(f"{target}: there is no region {region!r} in {path}, or nothing in it")
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    return "\n".join(line[indent:].rstrip() for line in lines).strip("\n") + "\n"


def _region(file: Path, wanted: str) -> Iterator[str]:
    inside = 0
    for line in file.read_text().splitlines():
        mark = _REGION.match(line)
        if mark is None:
            if inside:
                yield line
        elif inside:
            inside += -1 if mark["end"] else 1
        elif mark["name"] == wanted:
            inside = 1


def _without_marks(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if not _REGION.match(line)]


def _block(found: re.Match[str]) -> str:
    fill = _FILLERS[found["kind"]]
    return f"{found['marker']}{found['fence']}\n{fill(found['target'], found['body'])}```"


def _table(found: re.Match[str]) -> str:
    try:
        make = docs_tables.TABLES[found[2]]
    except KeyError:
        raise ValueError(f"there is no table {found[2]!r}; there are {', '.join(docs_tables.TABLES)}") from None
    return f"{found[1]}\n{make()}\n{found[3]}"


_FILLERS: Mapping[str, Callable[[str, str], str]] = {
    "example": lambda target, _: example(target),
    "curl": lambda target, body: docs_sessions.answers(ROOT / target, body),
    "command": lambda target, body: docs_sessions.output(ROOT / target, body),
}


def main() -> int:
    """Write every document as it should be, or say which is not."""
    check = "--check" in sys.argv[1:]
    stale = []
    for path in documents():
        before = path.read_text()
        after = render(before)
        if after != before:
            stale.append(path.relative_to(ROOT))
            if not check:
                path.write_text(after)
    for path in stale:
        sys.stdout.write(f"{path} {'differs' if check else 'written'}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
