"""What a scrape is answered with: the counts of all workers added up, in one of Prometheus's text formats.

``prometheus_client`` writes the text; its default registry, where a service's own metrics are (and those of the
process), is part of the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import reduce
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from seawall.clock import Clock
from seawall.telemetry.metrics.board import BOUNDS, BUCKETS, Exemplar, Key, Reading, Snapshot
from seawall.telemetry.metrics.families import BY_KIND, OWN, Family, Form, Sample
from seawall.telemetry.metrics.metrics import Metrics

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["FRESH_SECONDS", "Exposition"]

FRESH_SECONDS = 5.0
"""For how long what a worker has said of itself counts; one that is silent for longer is gone."""
_MOST_FOREIGN = 2000

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Family]).decode
_BOUND_TEXTS = (*(f"{bound:g}" if bound % 1 else f"{bound:.1f}" for bound in BOUNDS), "+Inf")


class Exposition:
    """Writes the metrics of one service, whichever of its workers is asked.

    Args:
        metrics: What it counts.
        clock: How old what other workers have said is.
        owner: The process's id.
    """

    def __init__(self, metrics: Metrics, clock: Clock, owner: int) -> None:
        self._metrics = metrics
        self._clock = clock
        self._owner = owner

    def publish(self) -> None:
        """Tell the other workers how things are here."""
        content = _pack(self._moment())
        self._metrics.board.publish(Snapshot(self._clock.monotonic(), self._owner, content))

    def write(self, accept: str, moment: list[Family] | None = None) -> tuple[str, bytes]:
        """Return media type and text. Takes some milliseconds for a thousand series: not for the event loop.

        Args:
            accept: The ``Accept`` field: OpenMetrics, with exemplars, for who asks for it, else the older format.
            moment: What is true of this worker, gathered on the event loop before; gathered here if None.
        """
        from prometheus_client.exposition import choose_encoder  # noqa: PLC0415 - not needed until somebody asks

        encode, media_type = choose_encoder(accept)
        collector: Any = _Collected(list(self._families(self._moment() if moment is None else moment)))
        return media_type, encode(collector)

    def moment(self) -> list[Family]:
        """Return what is true of this worker at the moment; on the event loop, as gauges may expect."""
        return self._moment()

    def _moment(self) -> list[Family]:
        return [*self._metrics.moment(), *_foreign()]

    def _families(self, own: list[Family]) -> Iterator[Metric]:
        yield from self._counted()
        yield from self._current(own)

    # -- what is counted exactly

    def _counted(self) -> Iterator[Metric]:
        readings: dict[Key, list[Reading]] = {}
        for worker in self._metrics.workers:
            for reading in self._metrics.board_of(worker).read():
                readings.setdefault(reading.key, []).append(reading)
        merged = [reduce(_add, parts) for parts in readings.values()]
        for kind, form in BY_KIND.items():
            family = _metric(form.name, form.help, form.kind)
            for reading in merged:
                if reading.key[0] == kind:
                    _tell(family, form, dict(zip(form.labels, reading.key[1:], strict=False)), reading)
            yield family
        yield from self._own(reading for reading in merged if reading.key[0] == OWN)

    def _own(self, readings: Iterable[Reading]) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for reading in readings:
            _, name, *words = reading.key
            if name not in families:
                families[name] = _metric(name, self._metrics.help_of(name), "counter")
            labels = dict(zip(words[::2], words[1::2], strict=True))
            families[name].add_sample(f"{name}_total", labels, reading.buckets[0])
        yield from families.values()

    # -- what is true at the moment

    def _current(self, own: list[Family]) -> Iterator[Metric]:
        workers = self._metrics.workers
        found: dict[str, Metric] = {}
        for worker in workers:
            for family in own if worker == self._metrics.worker else self._said_by(worker):
                metric = found.get(family.name)
                if metric is None:
                    metric = found[family.name] = _metric(family.name, family.help, family.kind)
                for sample in family.samples:
                    labels = sample.labels if len(workers) == 1 else {**sample.labels, "worker": str(worker)}
                    metric.add_sample(sample.name, labels, sample.value)
        yield from found.values()

    def _said_by(self, worker: int) -> list[Family]:
        snapshot = self._metrics.board_of(worker).snapshot()
        if snapshot is None or self._clock.monotonic() - snapshot.written > FRESH_SECONDS:
            return []
        try:
            return _unpack(snapshot.content)
        except msgspec.MsgspecError:  # of another release
            return []


class _Collected:
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def _metric(name: str, text: str, kind: str) -> Metric:
    from prometheus_client.metrics_core import Metric  # noqa: PLC0415 - see `Exposition.write`

    return Metric(name, text or "Of another release of the service.", kind)


def _foreign() -> Iterator[Family]:
    """Return what is in ``prometheus_client``'s own registry: the user's metrics, and those of the process."""
    from prometheus_client import REGISTRY  # noqa: PLC0415 - see `Exposition.write`

    left = _MOST_FOREIGN
    for metric in REGISTRY.collect():
        samples = [Sample(each.name, dict(each.labels), each.value) for each in metric.samples[:left]]
        left -= len(samples)
        yield Family(metric.name, metric.type, metric.documentation, samples)


def _add(one: Reading, other: Reading) -> Reading:
    return Reading(
        one.key,
        [a + b for a, b in zip(one.buckets, other.buckets, strict=True)],
        one.sum + other.sum,
        [_later(a, b) for a, b in zip(one.exemplars, other.exemplars, strict=True)],
    )


def _later(one: Exemplar | None, other: Exemplar | None) -> Exemplar | None:
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda exemplar: exemplar.timestamp)


def _tell(family: Metric, form: Form, labels: dict[str, str], reading: Reading) -> None:
    """Add the lines of one series."""
    from prometheus_client.samples import Exemplar as Attached  # noqa: PLC0415 - see `Exposition.write`

    if form.kind == "counter":
        family.add_sample(f"{form.name}_total", labels, sum(reading.buckets))
        return
    totals = list(accumulate(reading.buckets))
    if form.kind == "histogram":
        for bucket in range(BUCKETS):
            found = reading.exemplars[bucket]
            attached = None
            if found is not None:
                ids = {"trace_id": found.trace_id, "span_id": found.span_id}
                attached = Attached(ids, found.value, found.timestamp)
            bounded = {**labels, "le": _BOUND_TEXTS[bucket]}
            family.add_sample(f"{form.name}_bucket", bounded, totals[bucket], exemplar=attached)
    family.add_sample(f"{form.name}_count", labels, totals[-1])
    family.add_sample(f"{form.name}_sum", labels, reading.sum)
