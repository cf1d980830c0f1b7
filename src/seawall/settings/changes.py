"""What a reload may change, and what has to wait for a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from seawall.settings.describing import value_text
from seawall.settings.loading import OWN_TABLES, Settings
from seawall.settings.table import is_reloadable

__all__ = ["Change", "changes", "reloaded"]


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One setting that differs.

    Args:
        name: Its table and name: ``http.max_body``, ``operations.read_order.timeout``.
        old: Its value before, as text that may be logged.
        new: Its value now, as text that may be logged.
    """

    name: str
    old: str
    new: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.name}: {self.old} → {self.new}"


def changes(old: Settings, new: Settings) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
    """Return what differs between two settings.

    Returns:
        The changes that may be made while the service runs, and those that need a restart.
    """
    applied: list[Change] = []
    ignored: list[Change] = []
    for kind in OWN_TABLES:
        before, after = getattr(old, kind.toml_table), getattr(new, kind.toml_table)
        for name, field in kind.model_fields.items():
            was, now = getattr(before, name), getattr(after, name)
            if was != now:
                change = Change(f"{kind.toml_table}.{name}", value_text(field, was), value_text(field, now))
                (applied if is_reloadable(field) else ignored).append(change)
    applied += _operation_changes(old, new)
    return tuple(applied), tuple(ignored)


def reloaded(old: Settings, new: Settings) -> Settings:
    """Return *old* with everything of *new* that may change while the service runs."""
    tables = {}
    for kind in OWN_TABLES:
        before, after = getattr(old, kind.toml_table), getattr(new, kind.toml_table)
        update = {name: getattr(after, name) for name, field in kind.model_fields.items() if is_reloadable(field)}
        tables[kind.toml_table] = before.model_copy(update=update)
    return dataclasses.replace(old, operations=new.operations, **tables)


def _operation_changes(old: Settings, new: Settings) -> Iterator[Change]:
    before, after = old.operations.overrides, new.operations.overrides
    for operation in sorted(before.keys() | after.keys()):
        was, now = old.operations.of(operation), new.operations.of(operation)
        for option in sorted(was.keys() | now.keys()):
            texts = [repr(options[option]) if option in options else "as in the code" for options in (was, now)]
            if texts[0] != texts[1]:
                yield Change(f"operations.{operation}.{option}", *texts)
