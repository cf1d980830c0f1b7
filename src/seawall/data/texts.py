"""Statements as they may be shown in logs and traces: no values, one line, bounded; and what they do in a few words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Text", "text_of"]

LONGEST = 2000
_READ = 4 * LONGEST
"""Characters that are looked at; what comes behind them is left out."""
_MOST_TARGETS = 5
_SUMMARY = 120
_KEPT = 512

_COMMENT = r"--[^\n]*|/\*.*?(?:\*/|\Z)"
# A number, but no part of a name and no placeholder ($1, :1, ?1). Names of parameters end in numbers often.
_NUMBER = r"(?<![\w$:@?])\.?\d[\w.]*"
_STANDARD = re.compile(
    rf"(?P<gone>{_COMMENT})"
    r"|(?P<kept>\"(?:[^\"]|\"\")*(?:\"|\Z))"  # a name in quotes
    r"|[eE]'(?:[^'\\]|''|\\.)*(?:'|\Z)"
    r"|[A-Za-z&]{0,2}'(?:[^']|'')*(?:'|\Z)"
    r"|(?<![\w$])\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z)"
    rf"|{_NUMBER}",
    re.DOTALL,
)
"""SQL as PostgreSQL and SQLite write it: a backslash is a character like others, except behind an E."""
_BACKSLASHES = re.compile(
    rf"(?P<gone>{_COMMENT}|\#[^\n]*)"
    r"|(?P<kept>`(?:[^`]|``)*(?:`|\Z))"
    r"|\w*'(?:[^'\\]|''|\\.)*(?:'|\Z)"
    r"|\"(?:[^\"\\]|\"\"|\\.)*(?:\"|\Z)"
    rf"|{_NUMBER}",
    re.DOTALL,
)
"""SQL as MariaDB writes it: backslashes escape, and double quotes hold texts."""
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"[()]|[A-Za-z]+")
_VERBS = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "VALUES"})
_NAME = r"(?:\"[^\"]*\"|`[^`]*`|\[[^\]]*\]|[\w.])+"
_TARGET = re.compile(
    # An UPDATE that locks rows or stands in for an insertion names no table.
    rf"\b(?:FROM|INTO|JOIN|TABLE|(?<!FOR )(?<!KEY )(?<!DO )(?<!ON )UPDATE)\s+(?!SELECT\b)({_NAME})",
    re.IGNORECASE,
)
_QUOTES = str.maketrans("", "", '"`[]')


@dataclass(frozen=True, slots=True)
class Text:
    """A statement, as it may be shown.

    Args:
        shown: Its text; a question mark stands for each value in it, and what is too long is cut.
        operation: What it does: ``SELECT``.
        summary: The same with what it does it to: ``SELECT orders users``.
        targets: The tables, as far as they can be told without a parser.
    """

    shown: str
    operation: str
    summary: str
    targets: tuple[str, ...]


def text_of(statement: str, *, backslashes: bool = False) -> Text:
    """Return *statement* as it may be shown; the last few hundred different ones are remembered.

    Args:
        statement: SQL, with or without values in it.
        backslashes: Whether they escape in texts, as they do for MariaDB.
    """
    return _remembered(statement[:_READ], backslashes)


@lru_cache(_KEPT)
def _remembered(statement: str, backslashes: bool) -> Text:  # noqa: FBT001 - a key
    pattern = _BACKSLASHES if backslashes else _STANDARD
    shown = _SPACE.sub(" ", pattern.sub(_without_value, statement)).strip()
    operation = _operation(shown)
    targets = tuple(dict.fromkeys(found.translate(_QUOTES) for found in _TARGET.findall(shown)))[:_MOST_TARGETS]
    summary = " ".join((operation, *targets))[:_SUMMARY]
    return Text(shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…", operation, summary, targets)


def _without_value(match: re.Match[str]) -> str:
    kept: str | None = match["kept"]
    if kept is not None:
        return kept
    return " " if match["gone"] is not None else "?"


def _operation(shown: str) -> str:
    """Return its verb; that of the statement itself, where tables are defined in front of it (``WITH``)."""
    depth, first = 0, ""
    for word in _WORD.findall(shown):
        if word in "()":
            depth += 1 if word == "(" else -1
            continue
        upper: str = word.upper()
        if not first:
            if upper != "WITH":
                return upper
            first = upper
        elif depth == 0 and upper in _VERBS:
            return upper
    return first or "SQL"
