"""The metrics of a service: what plans count into, and what capabilities and users add."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from seawall.host import Host
from seawall.problems import DeclarationError
from seawall.telemetry.methods import METHODS, OTHER
from seawall.telemetry.metrics.board import SERIES, Board, Key, part_bytes
from seawall.telemetry.metrics.families import BY_KIND, OWN, Family, Kind, Sample

__all__ = ["CallSeries", "Counter", "Metrics", "Readings"]

_NAME = re.compile(r"[a-z_][a-z0-9_]*")
MOST_LABELLED = 1000
"""Values one gauge or counter may have, by its labels; further ones are left out and counted as `OTHER`."""

logger = logging.getLogger("seawall.metrics")

Readings = float | Mapping[str, float] | Mapping[tuple[str, ...], float]
"""What a gauge reads: one number, or one for each value of its labels (a tuple where it has several)."""


class CallSeries:
    """The histograms of one operation, by the status of its answers (and the method, where it takes several).

    Args:
        board: Where they are.
        key: What they have in common.
        active: How many of its calls are running: one number, changed by the plan itself.
    """

    __slots__ = ("_board", "_key", "active", "get", "known")

    def __init__(self, board: Board, key: Key) -> None:
        self._board = board
        self._key = key
        self.active = [0]
        self.known: dict[object, int] = {}
        self.get = self.known.get

    def new(self, status: int) -> int:
        """Return where the histogram for *status* begins; the plan has not found it among those it knows."""
        return self._claim(status, _status(status))

    def new_for(self, pair: tuple[str, int]) -> int:
        """Return where the histogram for a method and a status begins."""
        method, status = pair
        return self._claim(pair, method if method in METHODS else OTHER, _status(status))

    def _claim(self, known_by: object, *labels: str) -> int:
        place = self._board.claim((*self._key, *labels))
        if OTHER not in labels:  # those have no bound
            self.known[known_by] = place
        return place


def _status(status: int) -> str:
    return str(status) if 100 <= status <= 599 else OTHER


class Counter:
    """A number that only grows, exact over all workers; made by `Metrics.counter`."""

    def __init__(self, board: Callable[[], Board], name: str, labels: tuple[str, ...]) -> None:
        self._board = board
        self._name = name
        self._labels = labels
        self._places: dict[tuple[str, ...], int] = {}
        self._lock = threading.Lock()

    def add(self, amount: int = 1, /, **labels: str) -> None:
        """Add to it, from any thread.

        Args:
            amount: 0 or more.
            labels: A value for each of its labels. They must be few: never an id, a path, an address.

        Raises:
            ValueError: *amount* is negative, or a label is missing or unknown.
        """
        if amount < 0:
            raise ValueError(f"counter {self._name}: {amount} would take away from it; use a gauge")
        if len(labels) != len(self._labels) or any(name not in labels for name in self._labels):
            raise ValueError(f"counter {self._name}: labels are {self._labels}, not {tuple(labels)}")
        values = tuple(labels[name] for name in self._labels)
        with self._lock:
            place = self._places.get(values) or self._claim(values)
            self._board().counts[place] += amount

    def _claim(self, values: tuple[str, ...]) -> int:
        if len(self._places) >= MOST_LABELLED:
            values = (OTHER,) * len(values)
        pairs = [word for pair in zip(self._labels, values, strict=True) for word in pair]
        place = self._places[values] = self._board().claim((OWN, self._name, *pairs))
        return place


@dataclass(frozen=True, slots=True)
class _Gauge:
    kind: Kind
    help: str
    read: Callable[[], Readings]
    labels: tuple[str, ...]


class Metrics:
    """The metrics of one service; `Service.metrics` is the one of a service.

    Args:
        host: The process's place among the workers.
    """

    def __init__(self, host: Callable[[], Host]) -> None:
        self._host = host
        self._boards: dict[int, Board] = {}
        self._calls: dict[Key, CallSeries] = {}
        self._rejections: dict[tuple[Board, str, str, str], int] = {}
        self._gauges: dict[str, _Gauge] = {}
        self._counters: dict[str, tuple[str, Counter]] = {}
        self._failed: set[str] = set()
        self._claiming = threading.Lock()

    def gauge(
        self,
        name: str,
        help: str,  # noqa: A002 - Prometheus calls it so
        read: Callable[[], Readings],
        *,
        labels: Sequence[str] = (),
        total: bool = False,
    ) -> None:
        """Show what *read* returns, each time the metrics are asked for; one of the same name is replaced.

        With several workers each has its own value, told apart by the label ``worker``.

        Args:
            name: As Prometheus wants it: ``pool_connections``, with the unit at its end.
            help: What it is, in one line.
            read: Returns a number; or numbers by label values, a tuple where there are several labels. It is called
                on the event loop and must not wait; what it raises is logged once, and the gauge left out.
            labels: Names of its labels.
            total: Whether the number only grows: then it is a counter, and ``_total`` is added to its name.

        Raises:
            DeclarationError: A name is impossible or taken.
        """
        self._check(name, labels, counter=False)
        self._gauges[name] = _Gauge("counter" if total else "gauge", help, read, tuple(labels))

    def counter(self, name: str, help: str, *, labels: Sequence[str] = ()) -> Counter:  # noqa: A002 - as above
        """Return a counter, exact over all workers, that also counts what workers did which are gone.

        Args:
            name: As Prometheus wants it, without ``_total``: ``orders_placed``.
            help: What it is, in one line.
            labels: Names of its labels.

        Raises:
            DeclarationError: A name is impossible or taken.
        """
        self._check(name, labels, counter=True)
        known = self._counters.get(name)
        if known is None:
            known = self._counters[name] = help, Counter(lambda: self.board, name, tuple(labels))
        return known[1]

    def _check(self, name: str, labels: Sequence[str], *, counter: bool) -> None:
        for each in (name, *labels):
            if not _NAME.fullmatch(each):
                raise DeclarationError(f"metric {name!r}: {each!r} is no name; use a-z, 0-9 and _.")
        if name.endswith("_total"):
            raise DeclarationError(f"metric {name!r}: _total is added by itself; write {name[:-6]!r}.")
        taken = name in (self._gauges if counter else self._counters)
        if taken or any(name == form.name for form in BY_KIND.values()):
            raise DeclarationError(f"metric {name!r}: there is one of this name already; choose another.")

    # -- for plans and the exposition

    @property
    def board(self) -> Board:
        """This worker's part of the counts."""
        return self.board_of(self._host().slot)

    @property
    def workers(self) -> range:
        """The numbers of all workers there can be."""
        return range(self._host().slots)

    @property
    def worker(self) -> int:
        """The number of this one."""
        return self._host().slot

    def board_of(self, worker: int) -> Board:
        """Return the part of one worker."""
        board = self._boards.get(worker)
        if board is None:
            with self._claiming:
                region = self._host().arena.region(f"metrics 1 of {worker}", part_bytes())
                board = self._boards.setdefault(worker, Board(region))
        return board

    def calls(self, operation: str, route: str, method: str, *, direct: bool) -> CallSeries:
        """Return the series of one operation; the same for all its plans, before and after settings are reloaded."""
        key: Key = ("call", operation) if direct else ("http", operation, route, *([method] if method else ()))
        series = self._calls.get(key)
        if series is None:
            series = self._calls[key] = CallSeries(self.board, key)
        return series

    def rejected(self, operation: str, guard: str, problem: str) -> None:
        """Count a call that *guard* has refused with a problem of the type *problem*."""
        board = self.board
        known = (board, operation, guard, problem)
        place = self._rejections.get(known)
        if place is None:
            reason = problem.rstrip("/:").replace("/", ":").rpartition(":")[2][:64]
            place = board.claim(("rejected", operation, guard[:64], reason))
            if len(self._rejections) >= SERIES:
                self._rejections.clear()
            self._rejections[known] = place
        board.counts[place] += 1

    def help_of(self, counter: str) -> str:
        """Return what a counter of the service's own is; empty if only workers of another release know it."""
        known = self._counters.get(counter)
        return known[0] if known else ""

    def moment(self) -> list[Family]:
        """Return what is true of this worker at the moment."""
        return [self._active(), *(family for name in list(self._gauges) if (family := self._read(name)))]

    def _active(self) -> Family:
        family = Family("http_server_active_requests", "gauge", "Requests that are being answered.", [])
        for key, series in list(self._calls.items()):
            if key[0] == "http":
                labels = dict(zip(BY_KIND["http"].labels, key[1:], strict=False))
                family.samples.append(Sample(family.name, labels, series.active[0]))
        return family

    def _read(self, name: str) -> Family | None:
        gauge = self._gauges[name]
        try:
            found = gauge.read()
            pairs = found.items() if isinstance(found, Mapping) else [((), found)]
            line = f"{name}_total" if gauge.kind == "counter" else name
            samples = []
            for values, value in list(pairs)[:MOST_LABELLED]:
                words = (values,) if isinstance(values, str) else values
                labels = {label: str(word) for label, word in zip(gauge.labels, words, strict=True)}
                samples.append(Sample(line, labels, float(value)))
        except Exception:
            if name not in self._failed:
                self._failed.add(name)
                logger.exception("gauge %s cannot be read and is left out", name)
            return None
        return Family(name, gauge.kind, gauge.help, samples)
