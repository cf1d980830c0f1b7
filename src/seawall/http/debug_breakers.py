"""Breakers for operators: how they stand, and switches to put them by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seawall.problems import NotFound, Unavailable

if TYPE_CHECKING:
    from seawall.resilience import BreakerSnapshot, Resilience
    from seawall.resilience.registry import Position

__all__ = ["BreakerReport", "Breakers"]


@dataclass(frozen=True, slots=True)
class SharedView:
    """A breaker that several processes share.

    Args:
        name: Whom it guards calls to.
        state: As this process last heard of it.
        refused: How many calls of this process it has not let out.
    """

    name: str
    state: str
    refused: int


@dataclass(frozen=True, slots=True)
class BreakerReport:
    """The breakers of a process.

    Args:
        pid: The process.
        breakers: Its own.
        shared: Those it shares with others.
    """

    pid: int
    breakers: Sequence[BreakerSnapshot]
    shared: Sequence[SharedView]

    def text(self) -> str:
        """Return it for reading."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield f"{len(self.breakers)} breakers of process {self.pid}, {len(self.shared)} shared with others."
        yield "Switch one: POST /debug/breakers/<name>/open, /closed, or /auto for its own decision."
        for each in self.breakers:
            facts = [f"{each.failures} of {each.calls} calls failed", f"{each.slows} slow"]
            if each.retry_after:
                facts.append(f"lets calls out in {each.retry_after:.1f} s")
            facts += [f"opened {each.opened} times", f"refused {each.refused} calls"]
            yield f"{each.name}: {each.state}; {', '.join(facts)}"
        for other in self.shared:
            yield f"{other.name}: {other.state} when last heard of, shared; refused {other.refused} calls here"


class Breakers:
    """The breakers of a service.

    Args:
        registries: Where they are.
    """

    def __init__(self, registries: Callable[[], Sequence[Resilience]]) -> None:
        self._registries = registries

    def report(self) -> BreakerReport:
        """Return how all of them stand."""
        registries = self._registries()
        shared = [each for registry in registries for each in registry.shared_breakers.values()]
        return BreakerReport(
            os.getpid(),
            [each for registry in registries for each in registry.snapshots()],
            [SharedView(each.name, each.known, each.refused) for each in shared],
        )

    async def switch(self, name: str, to: Position) -> str:
        """Put every breaker called *name* to a position and say what it is then.

        Raises:
            NotFound: There is none.
            Unavailable: The store of a shared one does not answer.
        """
        from seawall.resilience.shared import StoreUnavailable  # noqa: PLC0415 - who has a registry has it

        try:
            states = [await registry.switch(name, to) for registry in self._registries() if name in registry.states()]
        except StoreUnavailable as error:
            raise Unavailable(f"The store of {name!r} does not answer; nothing is known to have changed.") from error
        if not states:
            raise NotFound(f"There is no breaker {name!r}.")
        return f"{name}: {', '.join(states)} in process {os.getpid()}\n"
