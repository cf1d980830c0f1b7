"""What is said about settings that are wrong: where each came from, what it is, what was expected, the fix."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence

from seawall.problems import ConfigurationError

__all__ = ["SettingsError", "Wrong", "nearest", "report", "shown", "without_passwords"]

_SHOWN = 80
_USER_INFO = re.compile(r"//[^/@\s]*@")


class SettingsError(ConfigurationError):
    """Settings are wrong; the message lists every one of them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Wrong:
    """One setting that is wrong.

    Args:
        where: Where it came from: ``environment variable SEAWALL_LOG_LEVEL``, ``seawall.toml [log] level``.
        problem: What is wrong with it.
        fix: What to do about it.
        value: Its value as text, without secrets; None when there is none to show.
        expected: What was expected; None when *problem* says it all.
    """

    where: str
    problem: str
    fix: str
    value: str | None = None
    expected: str | None = None

    def __str__(self) -> str:
        """Return it as a short paragraph."""
        lines = [f"{self.where} = {self.value}" if self.value is not None else self.where]
        lines.append(f"    problem:  {self.problem}")
        if self.expected is not None:
            lines.append(f"    expected: {self.expected}")
        lines.append(f"    fix:      {self.fix}")
        return "\n".join(lines)


def report(wrong: Sequence[Wrong]) -> SettingsError:
    """Return the error that lists everything in *wrong*."""
    count = "1 setting is wrong" if len(wrong) == 1 else f"{len(wrong)} settings are wrong"
    return SettingsError(f"{count}:\n\n" + "\n\n".join(f"- {item}".replace("\n", "\n  ") for item in wrong))


def shown(value: object, *, secret: bool = False) -> str:
    """Return *value* as it may stand in a message: shortened, secrets and passwords in URLs blotted out."""
    if secret:
        return "'**********'"
    text = without_passwords(repr(value))
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def without_passwords(text: str) -> str:
    """Return *text* with users and passwords in URLs blotted out."""
    return _USER_INFO.sub("//**********@", text)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the one of *known* that was probably meant by *name*."""
    close = difflib.get_close_matches(name, list(known), 1)
    return close[0] if close else None
