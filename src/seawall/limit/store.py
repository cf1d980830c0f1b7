"""The ports: where allowances are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from seawall.limit.rule import Rule

__all__ = ["LocalStore", "RemoteStore"]


class LocalStore(Protocol):
    """Allowances in memory that can be reached without waiting."""

    def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Make the caller's allowance under every rule whole again."""

    def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Take *cost* units from the caller's allowance under every rule, or from none: one atomic step.

        Returns:
            For each rule the seconds of allowance that are left (see `Rule.remaining`). If any is negative nothing
            was taken, and it says how many seconds are missing.
        """
        ...


class RemoteStore(Protocol):
    """Allowances that other machines share."""

    async def take(self, rules: Sequence[Rule], key: str, cost: int) -> tuple[float, ...]:
        """Do as `LocalStore.take`.

        Raises:
            OSError: It could not be reached, or did not answer in its time.
        """
        ...

    async def forgive(self, rules: Sequence[Rule], key: str) -> None:
        """Do as `LocalStore.forgive`.

        Raises:
            OSError: As `take`.
        """

    async def close(self) -> None:
        """Let go of its connections; the next `take` makes new ones."""
