"""Decides which workers there are: who is started, who has died, who is replaced, who is told to end.

Nothing here waits, starts or signals by itself: `Crew.step` is called whenever something has happened or is due, and
acts through a `Process`. So all of it is tried in virtual time.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from enum import Enum, auto

from seawall.clock import Clock, Random
from seawall.watch import Beat, News, Ready, Stopped, Stopping
from seawall.workers.board import Post
from seawall.workers.channel import Failed
from seawall.workers.member import Process, Seat, State, Worker, status_text
from seawall.workers.restarts import Restarts

__all__ = ["Crew", "Phase", "Toll"]

OVERTIME = 4.0
"""Seconds beyond the time its end may take, after which a worker is killed: it keeps its budget by itself."""
LAST_WORDS = 1.0
"""Seconds a worker that hangs has to say where, before it is killed."""
HURRIED = 10.0
"""Seconds a worker has to end once it was hurried."""

logger = logging.getLogger("seawall.workers")


class Phase(Enum):
    """Where the crew stands."""

    BEGINNING = auto()
    """Not every seat has had a worker that serves; one that does not start ends everything."""
    SERVING = auto()
    STOPPING = auto()
    OVER = auto()


@dataclass(slots=True)
class Toll:
    """What the workers that were there at the end had to cut, all together.

    Args:
        calls: Calls.
        connections: Connections.
        streams: Drain hooks, by name.
        tasks: Background tasks, by name.
        resources: Resources that did not close, by name.
        workers: Workers that did not end by themselves, or not in order.
    """

    calls: int = 0
    connections: int = 0
    streams: list[str] = field(default_factory=list)
    tasks: list[str] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    workers: list[str] = field(default_factory=list)

    def add(self, stopped: Stopped) -> None:
        """Add what one worker said."""
        self.calls += stopped.calls
        self.connections += stopped.connections
        self.streams += stopped.streams
        self.tasks += stopped.tasks
        self.resources += stopped.resources


@dataclass(slots=True)
class Roll:
    """A replacement of every worker, one after another."""

    seats: deque[Seat]
    leaving: Worker | None = None
    done: int = 0


class Crew:
    """The workers of one service.

    Args:
        count: How many serve.
        launch: Starts the worker of a seat in a slot.
        clock: What time it is.
        random: Chance.
        start_seconds: How long a worker may take to start.
    """

    def __init__(
        self,
        count: int,
        launch: Callable[[int, int], Process],
        clock: Clock,
        random: Random,
        start_seconds: float,
    ) -> None:
        self.phase = Phase.BEGINNING
        self.start_seconds = start_seconds
        self.failure: Failed | None = None
        self.toll = Toll()
        self.requests = 0
        self.workers: dict[int, Worker] = {}
        self.roll: Roll | None = None
        self.seats = [Seat(number, Restarts(random)) for number in range(count)]
        self.slots = count + 1
        """One more than there are workers: while one is replaced, both are there."""
        self._launch = launch
        self._clock = clock
        self._roll_again = False
        self.seats[0].due = clock.monotonic()

    @property
    def serving(self) -> int:
        """How many seats have a worker that serves."""
        return sum(1 for seat in self.seats if seat.worker is not None and seat.worker.state is State.READY)

    def posts(self) -> list[Post]:
        """Return what is known of each worker, those that end and those that are waited for included."""
        posts = {
            each.slot: Post(
                each.slot,
                each.seat,
                each.state,
                each.process.pid,
                self.seats[each.seat].restarts.count,
                each.connections,
                each.requests,
                each.moment,
                each.heard_moment,
            )
            for each in self.workers.values()
        }
        for seat in self.seats:
            slot = self._free_slot(seat.number, posts)
            if seat.worker is None and seat.due is not None and slot is not None:
                posts[slot] = Post(slot, seat.number, State.WAITING, 0, seat.restarts.count, 0, 0, 0.0, 0.0)
        return [posts[slot] for slot in sorted(posts)]

    # -- what happens

    def heard(self, worker: Worker, news: News | Failed) -> None:
        """Take notice of what a worker says."""
        now = worker.heard = self._clock.monotonic()
        worker.heard_moment = self._clock.time()
        match news:
            case Ready() if worker.state is State.STARTING:
                worker.state, worker.ready = State.READY, now
                worker.stop_seconds, worker.silence_seconds = news.stop_seconds, news.silence_seconds
                logger.info(
                    "worker %d is ready", worker.seat, extra=_facts(worker, seconds=round(now - worker.started, 3))
                )
            case Beat():
                worker.requests, worker.connections = news.requests, news.connections
            case Stopping() if not worker.told and worker.state is State.READY:
                self._leaves(worker)
            case Stopped():
                worker.stopped, worker.requests = news, news.requests
            case Failed():
                worker.failed = news
            case _:
                pass

    def ended(self, worker: Worker, status: int) -> None:
        """Take notice that a worker's process is no more."""
        del self.workers[worker.process.pid]
        self.requests += worker.requests
        if worker.state is State.STARTING and worker.failed is None:
            said = worker.verdict or f"it ended before it was ready ({status_text(status)})"
            worker.failed = Failed(f"worker {worker.seat} did not start: {said}")
        if worker.told:
            self._count_the_end(worker, status)
        seat = self.seats[worker.seat]
        if seat.successor is worker:
            seat.successor = None
            self._give_up_roll(seat, worker.failed.message if worker.failed else f"it died ({status_text(status)})")
        if seat.worker is not worker:
            return  # somebody else has its seat already
        seat.worker = None
        if self.phase in (Phase.STOPPING, Phase.OVER):
            return
        if self.phase is Phase.BEGINNING and worker.ready is None and not seat.restarts.count:
            self._fail(worker.failed)
        elif seat.successor is None:
            self._replace(seat, worker, status)
        else:
            seat.restarts.count += 1
            logger.warning("worker %d died (%s)", seat.number, status_text(status), extra=_facts(worker))

    def ask_roll(self) -> None:
        """Replace every worker, one after another; after the roll that is going on, if one is."""
        if self.phase in (Phase.BEGINNING, Phase.SERVING):
            self._roll_again = True

    def stop(self) -> None:
        """Tell every worker to end. Does so once."""
        if self.phase in (Phase.STOPPING, Phase.OVER):
            return
        self.phase = Phase.STOPPING
        self.roll, self._roll_again = None, False
        for seat in self.seats:
            seat.due = None
        for worker in self.workers.values():
            self._tell_to_end(worker)

    def hurry(self) -> None:
        """Let the workers that are ending wait for nothing more."""
        latest = self._clock.monotonic() + HURRIED
        for worker in self.workers.values():
            worker.process.hurry()
            worker.kill_at = min(worker.kill_at or latest, latest)

    def step(self) -> float | None:
        """Do what is due; return the seconds until something will be, None if nothing."""
        now = self._clock.monotonic()
        for worker in list(self.workers.values()):
            self._judge(worker, now)
        if self.phase is Phase.BEGINNING:
            self._begin(now)
        while self.phase is Phase.SERVING and self._advance_roll():
            pass
        for seat in self.seats:
            if seat.due is not None and seat.due <= now:
                self._start(seat, now)
        if self.phase is Phase.STOPPING and not self.workers:
            self.phase = Phase.OVER
        moments = [moment for moment in self._moments() if moment is not None]
        return max(0.0, min(moments) - now) if moments else None

    # -- what follows

    def _begin(self, now: float) -> None:
        """Start the first worker alone, so that what keeps all of them from starting is said once; then the others."""
        first, *others = self.seats
        if first.worker is None or first.worker.state is State.STARTING:
            return
        for seat in others:
            if seat.worker is None and seat.due is None and seat.restarts.count == 0:
                seat.due = now
        if self.serving == len(self.seats):
            self.phase = Phase.SERVING

    def _start(self, seat: Seat, now: float) -> None:
        slot = self._free_slot(seat.number, {worker.slot for worker in self.workers.values()})
        if slot is None:
            return  # one that ends will make room, and whoever calls step will know
        seat.due = None
        try:
            seat.worker = self._made(seat, slot)
        except OSError as error:
            failed = Failed(f"worker {seat.number} did not start: {error.strerror or error}")
            if self.phase is Phase.BEGINNING:
                self._fail(failed)
                return
            delay = seat.restarts.died(None)
            seat.due = now + delay
            logger.error("%s; tried again in %.1f s", failed.message, delay)

    def _made(self, seat: Seat, slot: int) -> Worker:
        now, moment = self._clock.monotonic(), self._clock.time()
        worker = Worker(seat.number, slot, self._launch(seat.number, slot), now, moment, heard=now)
        self.workers[worker.process.pid] = worker
        return worker

    def _fail(self, failed: Failed | None) -> None:
        """Give up the first start."""
        self.failure = failed
        self.stop()

    def _free_slot(self, wanted: int, taken: Container[int]) -> int | None:
        return next((slot for slot in (wanted, *range(self.slots)) if slot not in taken), None)

    def _judge(self, worker: Worker, now: float) -> None:
        """End a worker that does not start, hangs, or does not end."""
        if worker.kill_at is not None and now >= worker.kill_at:
            if not worker.verdict:
                worker.verdict = "it did not end in time"
                logger.error("worker %d did not end in time and is killed", worker.seat, extra=_facts(worker))
            worker.kill_at = None
            worker.process.kill()
        elif worker.verdict:
            return
        elif worker.state is State.STARTING and now - worker.started >= self.start_seconds:
            worker.verdict = f"it was not ready within {self.start_seconds:g} s (server.worker_start_timeout)"
            self._abort(worker, now)
        elif worker.state is State.READY and 0 < worker.silence_seconds <= now - worker.heard:
            worker.verdict = f"its event loop has been blocked for {worker.silence_seconds:g} s (server.worker_timeout)"
            self._abort(worker, now)

    def _abort(self, worker: Worker, now: float) -> None:
        logger.error("worker %d is killed: %s", worker.seat, worker.verdict, extra=_facts(worker))
        worker.process.abort()
        worker.kill_at = now + LAST_WORDS

    def _tell_to_end(self, worker: Worker) -> None:
        if worker.told:
            return
        worker.told, worker.state = True, State.STOPPING if worker.ready is not None else worker.state
        worker.kill_at = self._clock.monotonic() + worker.stop_seconds + OVERTIME
        worker.process.stop()

    def _leaves(self, worker: Worker) -> None:
        """Let a worker go that somebody else has told to end, and start another at once."""
        worker.state = State.STOPPING
        worker.kill_at = self._clock.monotonic() + worker.stop_seconds + OVERTIME
        seat = self.seats[worker.seat]
        if seat.worker is not worker or self.phase in (Phase.STOPPING, Phase.OVER):
            return
        logger.info("worker %d ends, as somebody has told it to", worker.seat, extra=_facts(worker))
        seat.worker = None
        if seat.successor is None:
            seat.due = self._clock.monotonic()

    def _replace(self, seat: Seat, worker: Worker, status: int) -> None:
        """Start another worker in the place of one that has died, now or later."""
        now = self._clock.monotonic()
        delay = seat.restarts.died(None if worker.ready is None else now - worker.ready)
        seat.due = now + delay
        when = "at once" if not delay else f"in {delay:.1f} s"
        facts = _facts(worker, restarts=seat.restarts.count)
        if worker.ready is None and worker.failed is not None:
            logger.error("worker %d is started again %s: %s", seat.number, when, worker.failed.message, extra=facts)
        else:
            how = worker.verdict or (worker.failed.message if worker.failed else status_text(status))
            if worker.failed and worker.failed.traceback:
                facts["traceback"] = worker.failed.traceback
            logger.warning("worker %d died (%s) and is started again %s", seat.number, how, when, extra=facts)

    def _count_the_end(self, worker: Worker, status: int) -> None:
        """Note what a worker that was told to end has cut; one that had not begun to serve had nothing to lose."""
        is_lost = worker.ready is not None and (bool(worker.verdict) or worker.stopped is None or status < 0)
        if self.phase is Phase.STOPPING:
            if worker.stopped is not None:
                self.toll.add(worker.stopped)
            if is_lost or (worker.ready is not None and status != 0 and not _has_cut(worker)):
                self.toll.workers.append(f"{worker.seat} ({worker.verdict or status_text(status)})")
        elif is_lost:
            logger.warning("worker %d was lost (%s)", worker.seat, status_text(status), extra=_facts(worker))

    # -- rolls

    def _advance_roll(self) -> bool:
        """Go on with the roll; return whether there may be more to do at once."""
        roll = self.roll
        if roll is None:
            if not self._roll_again:
                return False
            self._roll_again = False
            self.roll = Roll(deque(self.seats))
            logger.info("replacing %d workers", len(self.seats))
            return True
        if roll.leaving is not None and roll.leaving.process.pid in self.workers:
            return False  # one after another, so that no more than one is there twice
        if not roll.seats:
            self.roll = None
            logger.info("replaced %d workers", roll.done)
            return True
        return self._advance_seat(roll, roll.seats[0])

    def _advance_seat(self, roll: Roll, seat: Seat) -> bool:
        following = seat.successor
        if following is None:
            slot = self._free_slot(seat.number, {worker.slot for worker in self.workers.values()})
            if slot is None:
                return False
            seat.restarts.forgive()
            seat.due = None
            try:
                seat.successor = self._made(seat, slot)
            except OSError as error:
                self._give_up_roll(seat, f"worker {seat.number} did not start: {error.strerror or error}")
                return True
        elif following.state is State.READY:
            before, seat.worker, seat.successor = seat.worker, following, None
            roll.seats.popleft()
            roll.done += 1
            roll.leaving = before
            if before is not None:
                self._tell_to_end(before)
            return True
        return False

    def _give_up_roll(self, seat: Seat, why: str) -> None:
        """Keep the workers there are: the one that was to replace one of them did not start, or has died."""
        roll, self.roll = self.roll, None
        if roll is None:
            return
        if seat.worker is None:
            seat.due = self._clock.monotonic() + seat.restarts.died(None)
        kept = len(roll.seats)
        logger.error(
            "gave up replacing workers, %d of %d stay as they are: %s",
            kept,
            len(self.seats),
            why,
            extra={"worker": seat.number, "replaced": roll.done},
        )

    def _moments(self) -> list[float | None]:
        """Return when something is due."""
        moments: list[float | None] = []
        for worker in self.workers.values():
            moments.append(worker.kill_at)
            if worker.verdict:
                continue
            if worker.state is State.STARTING:
                moments.append(worker.started + self.start_seconds)
            elif worker.state is State.READY and worker.silence_seconds:
                moments.append(worker.heard + worker.silence_seconds)
        is_full = len(self.workers) >= self.slots
        moments += [None if is_full else seat.due for seat in self.seats]
        return moments


def _has_cut(worker: Worker) -> bool:
    said = worker.stopped
    return said is not None and bool(said.calls or said.connections or said.streams or said.tasks or said.resources)


def _facts(worker: Worker, **more: object) -> dict[str, object]:
    return {"worker": worker.seat, "worker_pid": worker.process.pid, **more}
