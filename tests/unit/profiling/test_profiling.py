from __future__ import annotations

import asyncio
import contextlib
import gc
import queue
import re
import sys
import threading
import tracemalloc
from dataclasses import replace

import pytest

from seawall import Call, Forbidden, Service, Unauthorized
from seawall.call import enter, leave
from seawall.clock import SystemClock
from seawall.data.slots import Slots
from seawall.http.debug import DebugAccess
from seawall.profiling import Busy, Profile, Profiler, Running, flame_page, speedscope
from seawall.profiling.cpu import Thread, loop_thread, sample
from seawall.profiling.flame import SCRIPT, STYLE
from seawall.profiling.heap import IDLE_SECONDS, MAX_SNAPSHOTS, Heap
from seawall.profiling.locks import describe_locks
from seawall.profiling.memory import trace
from seawall.profiling.stacks import Place, fold
from seawall.profiling.stalls import Stall, StallWatch
from seawall.profiling.tasks import TaskReport, TaskTable, TaskView, await_chain
from seawall.settings import ProfilingSettings
from support.exchange import exchange
from support.settings import settings

A, B, C = (Place(name, f"/srv/{name}.py", 1) for name in "abc")
CLOCK = SystemClock()


def profile_of(*stacks, runs=None, lines=()):
    return Profile(
        seconds=2.0,
        interval=0.5,
        ticks=4,
        busy=4,
        idle=0,
        dropped=0,
        cost=0.01,
        cpu=1.0,
        pid=7,
        stacks=stacks,
        threads=(Thread("MainThread", runs or tuple((number, 1) for number in range(len(stacks)))),),
        lines=lines,
    )


class TestFold:
    def test_weights_add_up_on_common_ways(self):
        tree = fold([((A, B), 2), ((A, C), 3), ((A,), 1)])
        assert (tree.total, tree.own) == (6, 0)
        node = tree.children[A]
        assert (node.total, node.own) == (6, 1)
        assert {place: child.total for place, child in node.children.items()} == {B: 2, C: 3}

    def test_recursion_is_a_way_of_its_own(self):
        tree = fold([((A, A, A), 1)])
        assert tree.children[A].children[A].children[A].own == 1

    def test_nothing_folds_to_a_root(self):
        assert fold([]).total == 0


class TestSpeedscope:
    def test_it_has_the_form_of_the_schema(self):
        document = speedscope(profile_of((A, B), (A, C), runs=((0, 2), (-1, 1), (1, 1))), "shop")
        assert document["$schema"] == "https://www.speedscope.app/file-format-schema.json"
        frames = document["shared"]["frames"]
        assert [frame["name"] for frame in frames] == ["a", "b", "c"]
        (only,) = document["profiles"]
        assert (only["type"], only["unit"], only["startValue"], only["endValue"]) == ("sampled", "seconds", 0, 2.0)
        assert only["samples"] == [[0, 1], [], [0, 2]]
        assert only["weights"] == [1.0, 0.5, 0.5]
        assert all(0 <= index < len(frames) for stack in only["samples"] for index in stack)

    def test_threads_that_only_waited_are_left_out(self):
        assert speedscope(profile_of((A,), runs=((-1, 4),)), "shop")["profiles"] == []


class TestFlame:
    def test_names_and_titles_cannot_break_out(self):
        evil = Place("<script>alert(1)</script>", '/srv/"><b>.py', 3)
        page = flame_page(profile_of((evil,), lines=((evil, 1),)), "<i>shop</i>").decode()
        assert "<script>alert" not in page
        assert "<b>" not in page
        assert "<i>" not in page
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page

    def test_width_is_share(self):
        page = flame_page(profile_of((A, B), (A, C), runs=((0, 3), (1, 1))), "shop").decode()
        assert 'x="0.0000%" y="60" width="75.0000%"' in page
        assert 'x="75.0000%" y="60" width="25.0000%"' in page

    def test_style_and_script_stand_in_it_to_the_letter(self):
        # The policy allows them by their hash.
        page = flame_page(profile_of((A,)), "shop").decode()
        assert f"<style>{STYLE}</style>" in page
        assert f"<script>{SCRIPT}</script>" in page

    def test_an_idle_process_says_so(self):
        assert b"nothing to draw" in flame_page(replace(profile_of(), busy=0), "shop")


class TestCpu:
    def test_another_thread_is_seen_with_its_line(self):
        stop, ready = threading.Event(), threading.Event()

        def spins_for_the_test():
            while not stop.is_set():
                ready.set()

        thread = threading.Thread(target=spins_for_the_test, name="spinner")
        thread.start()
        try:
            ready.wait(10)
            profile = sample(CLOCK, threading.Event(), 0.2, 100)
        finally:
            stop.set()
            thread.join()
        assert any("spins_for_the_test" in place.name for stack in profile.stacks for place in stack)
        assert "spinner" in {each.name for each in profile.threads}
        assert profile.cost > 0

    def test_a_thread_that_waits_in_c_is_not_taken_for_one_that_computes(self):
        # Its stack alone does not tell: a SimpleQueue has no frame of its own.
        waiting: queue.SimpleQueue[None] = queue.SimpleQueue()

        def waits_for_the_test():
            waiting.get()

        thread = threading.Thread(target=waits_for_the_test, name="waiter")
        thread.start()
        try:
            profile = sample(CLOCK, threading.Event(), 0.3, 50)
        finally:
            waiting.put(None)
            thread.join()
        runs = next(each.runs for each in profile.threads if each.name == "waiter")
        # It may still have been on its way there when it was first looked at.
        assert sum(count for stack, count in runs if stack < 0) >= sum(count for _, count in runs) - 2

    def test_the_switch_interval_is_what_it_was(self):
        before = sys.getswitchinterval()
        sample(CLOCK, threading.Event(), 0.05, 100)
        assert sys.getswitchinterval() == before

    def test_a_stop_ends_it_at_once(self):
        stop = threading.Event()
        stop.set()
        assert sample(CLOCK, stop, 60, 100).ticks == 0

    @pytest.mark.anyio
    async def test_the_loop_is_known_by_what_runs_it(self):
        async def inner():
            return loop_thread()

        found = await inner()
        assert found.ident == threading.get_ident()
        assert found.runner is not None
        assert found.runner.co_name in {"_run", "run", "_run_once", "run_until_complete"}


class TestMemory:
    def test_what_grows_is_told_and_tracing_is_off_afterwards(self):
        kept, done = [], threading.Event()

        def grow():
            while not done.wait(0.01):
                kept.append(bytearray(50_000))

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            report = trace(CLOCK, threading.Event(), 0.6, 1, 10)
        finally:
            done.set()
            thread.join()
        assert not tracemalloc.is_tracing()
        assert any(each.more > 0 and each.place[0].file == __file__ for each in report.growing)
        assert "kept.append(bytearray(50_000))" in report.text()
        assert "Tracing is off again" in report.text()

    def test_tracing_of_somebody_else_goes_on(self):
        tracemalloc.start()
        try:
            report = trace(CLOCK, threading.Event(), 0.01, 1, 3)
            assert tracemalloc.is_tracing()
            assert "it goes on" in report.text()
        finally:
            tracemalloc.stop()


class TestHeap:
    def test_the_oldest_goes_and_numbers_are_never_given_twice(self, heap):
        for _ in range(MAX_SNAPSHOTS + 2):
            heap.take(1)
        assert [each.number for each in heap.report().snapshots] == list(range(3, MAX_SNAPSHOTS + 3))
        with pytest.raises(LookupError, match="a snapshot 1 in this process, which keeps: 3, 4"):
            heap.difference(1, None, 5)

    def test_what_is_not_among_the_largest_lines_is_added_up(self, heap, monkeypatch):
        monkeypatch.setattr("seawall.profiling.heap.MAX_PLACES", 1)
        heap.take(1)
        kept = [bytearray(50_000), [bytearray(40_000)]]
        small = bytearray(30_000)
        heap.take(1)
        view = heap.report().snapshots[-1]
        assert view.places == 1
        assert view.traced >= view.rest + 90_000
        assert view.rest >= len(small) > 0
        assert kept

    @pytest.mark.anyio
    async def test_it_ends_where_nobody_takes_another(self, heap, manual_clock):
        heap.take(1)
        heap.watch()
        await manual_clock.sleep(IDLE_SECONDS - 10)
        assert tracemalloc.is_tracing()
        heap.take(1)
        await manual_clock.sleep(IDLE_SECONDS - 10)
        assert tracemalloc.is_tracing()
        await manual_clock.sleep(20)
        assert not tracemalloc.is_tracing()
        assert "no snapshot was taken for 60 minutes" in heap.report().text()
        assert len(heap.report().snapshots) == 2, "what was taken stays"

    @pytest.mark.anyio
    async def test_it_ends_where_tracing_takes_too_much_but_not_while_somebody_looks(
        self, heap, manual_clock, monkeypatch
    ):
        heap.take(1)
        heap.watch()
        monkeypatch.setattr("seawall.profiling.heap.MAX_TRACING_BYTES", 1)
        with heap._gate:
            await manual_clock.sleep(10)
            assert tracemalloc.is_tracing()
        await manual_clock.sleep(10)
        assert not tracemalloc.is_tracing()
        assert "it took more than 1 B itself" in heap.report().text()

    def test_tracing_of_somebody_else_goes_on(self, heap):
        tracemalloc.start()
        try:
            heap.take(1)
            heap.drop()
            assert tracemalloc.is_tracing()
        finally:
            tracemalloc.stop()

    @pytest.mark.anyio
    async def test_the_end_of_the_service_ends_it(self):
        profiler = Profiler(CLOCK, lambda: (), stall_threshold=1, stalls_kept=1)
        async with profiler.watching():
            await profiler.snapshot(1)
            assert tracemalloc.is_tracing()
            with profiler._gate, pytest.raises(Busy):
                profiler.drop()
        assert not tracemalloc.is_tracing()

    @pytest.fixture
    def heap(self, manual_clock):
        made = Heap(manual_clock, threading.Lock())
        yield made
        made.drop()


def view(number, awaits=(), **more):
    given = {
        "name": f"T{number}",
        "coroutine": "work",
        "request_id": None,
        "operation": None,
        "seconds": None,
        "at_least": False,
        "overdue": None,
        "cancelling": 0,
        "stack": (),
    }
    return TaskView(id=number, awaits=tuple(awaits), **{**given, **more})


class TestTasks:
    def test_a_tree_by_who_awaits_whom(self):
        text = TaskReport(3, 0.001, 0.001, (view(1, [2]), view(2, [3]), view(3))).text()
        assert "\ntask 1 T1" in text
        assert "\n  task 2 T2" in text
        assert "\n    task 3 T3" in text

    def test_what_should_have_ended_is_pointed_out(self):
        call = Call(b"late-1", "slow", deadline=CLOCK.monotonic() - 3)
        table = TaskTable(CLOCK, lambda: [Running(running, call, 5.0)])

        async def main():
            nonlocal running
            running = asyncio.create_task(asyncio.sleep(60))
            report = await table.report()
            running.cancel()
            return report

        running = None
        report = asyncio.run(main())
        assert report.tasks[0].overdue >= 3
        assert "1 of them past the deadline of their call" in report.text()
        assert "OVERDUE: its deadline passed 3." in report.text()

    def test_a_circle_ends(self):
        text = TaskReport(2, 0.001, 0.001, (view(1, [2]), view(2, [1]))).text()
        assert text.count("task 1 T1") == 1
        assert "task 1 (see above)" in text

    @pytest.mark.anyio
    async def test_the_way_through_an_asynchronous_generator_is_followed(self):
        forever = asyncio.Event()

        @contextlib.asynccontextmanager
        async def entering():
            await forever.wait()
            yield

        async def pieces():
            await forever.wait()
            yield 1

        async def enter():
            async with entering():
                pass

        async def iterate():
            async for _ in pieces():
                pass

        async def default():
            await anext(pieces(), None)

        tasks = [asyncio.create_task(each()) for each in (enter, iterate, default)]
        await asyncio.sleep(0)
        for task in tasks:
            names = [frame.f_code.co_name for frame in await_chain(task)]
            assert names[-2:] in (["entering", "wait"], ["pieces", "wait"]), names
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @pytest.mark.anyio
    async def test_children_are_found_and_their_ages_are_honest(self):
        async def child():
            await asyncio.Event().wait()

        async def grouped():
            async with asyncio.TaskGroup() as group:
                group.create_task(child(), name="in group")

        async def waited():
            await asyncio.wait([asyncio.create_task(child(), name="in wait")])

        async def timed():
            await asyncio.wait_for(asyncio.create_task(child(), name="in wait_for"), 60)

        parents = [asyncio.create_task(each(), name=each.__name__) for each in (grouped, waited, timed)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        table = TaskTable(CLOCK, lambda: ())
        first = {task.name: task for task in (await table.report()).tasks}
        names = {task.id: task.name for task in first.values()}
        for parent, expected in (("grouped", "in group"), ("waited", "in wait"), ("timed", "in wait_for")):
            assert [names[each] for each in first[parent].awaits] == [expected]
        assert first["grouped"].seconds is None
        second = {task.name: task for task in (await table.report()).tasks}
        assert second["grouped"].at_least
        assert second["grouped"].seconds >= 0
        for each in parents:
            each.cancel()
        await asyncio.gather(*parents, return_exceptions=True)
        for task in [task for task in asyncio.all_tasks() if task.get_name().startswith("in ")]:
            task.cancel()


@pytest.mark.anyio
class TestLocks:
    async def report(self, lock, *works):
        tasks = [asyncio.create_task(work, name=f"work {number}") for number, work in enumerate(works)]
        for _ in range(3):
            await asyncio.sleep(0)
        report = describe_locks([lock], CLOCK.monotonic, 0.0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return report

    async def test_a_holder_inside_async_with_is_known_and_no_waiter_is_taken_for_one(self):
        lock = asyncio.Lock()

        async def user():
            async with lock:
                await asyncio.Event().wait()

        (found,) = (await self.report(lock, user(), user())).locks
        assert [party.task for party in found.holders] == ["work 0"]
        assert [party.task for party in found.waiters] == ["work 1"]
        assert (found.unknown, found.waiting, found.free) == (0, 1, 0)

    async def test_one_that_waits_for_itself_is_both(self):
        lock = asyncio.Lock()

        async def user():
            async with lock, lock:
                pass

        (found,) = (await self.report(lock, user())).locks
        assert [party.task for party in found.holders] == [party.task for party in found.waiters] == ["work 0"]

    @pytest.mark.parametrize("how", ["manager", "stack", "generator"])
    async def test_a_lock_that_is_held_by_what_a_task_is_within_is_its(self, how):
        lock = asyncio.Lock()

        async def guarded():
            async with lock:
                yield

        async def user():
            if how == "manager":
                async with contextlib.asynccontextmanager(guarded)():
                    await asyncio.Event().wait()
            elif how == "stack":
                async with contextlib.AsyncExitStack() as stack:
                    await stack.enter_async_context(contextlib.asynccontextmanager(guarded)())
                    await asyncio.Event().wait()
            else:
                async for _ in guarded():
                    await asyncio.Event().wait()

        (found,) = (await self.report(lock, user(), user())).locks
        assert [party.task for party in found.holders] == ["work 0"]
        assert [party.task for party in found.waiters] == ["work 1"]
        assert found.unknown == 0
        assert {party.place.name.rpartition(".")[2] for party in found.holders} == {"user"}

    async def test_what_cannot_be_known_is_said(self):
        lock = asyncio.Lock()
        await lock.acquire()
        report = await self.report(lock)
        assert report.locks[0].unknown == 1
        assert "of whom nothing is known" in report.text()
        plain = asyncio.Semaphore(1)
        await plain.acquire()
        assert "does not say how many hold it" in (await self.report(plain)).text()
        bounded = asyncio.BoundedSemaphore(3)
        await bounded.acquire()
        assert (await self.report(bounded)).locks[0].unknown == 1

    async def test_who_holds_a_database_connection_is_told(self):
        pool, free = Slots("primary", 2, 10, 5, CLOCK), Slots("read", 2, 10, 5, CLOCK)
        token = enter(Call(b"the-id", "look"))
        holder = pool.take_now()
        leave(token)
        other = pool.take_now()
        waiting = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        report = describe_locks([pool, free], CLOCK.monotonic, 0.0)
        text = report.text()
        assert "Database connections (primary): 2 of 2 held, 1 waiting" in text
        assert re.search(r"held for \d\.\d+ s by operation look, request the-id\n    held for \S+ s by no call", text)
        assert "(read)" not in text
        assert (report.total, report.pools[0].waiting) == (0, 1)
        for each in (holder, other):
            pool.give(each)
        pool.give(await waiting)
        assert describe_locks([pool], CLOCK.monotonic, 0.0).pools == ()

    async def test_a_free_lock_is_not_shown(self):
        report = await self.report(asyncio.Lock())
        assert (report.total, report.busy, report.locks) == (1, 0, ())


@pytest.mark.anyio
class TestStalls:
    async def test_a_blocked_loop_is_noticed_and_its_end_too(self):
        watch = StallWatch(CLOCK, lambda: (), 0.04, 5)
        blocking = threading.Event()
        async with watch.watching():
            blocking.wait(0.5)
            for _ in range(200):
                await asyncio.sleep(0.01)
                if watch.stalls and watch.stalls[0].over:
                    break
        stall = next(each for each in watch.stalls if each.line.file == __file__)
        assert stall.over
        assert "blocking.wait(0.5)" in watch.text()

    async def test_a_loop_that_runs_is_left_alone(self):
        watch = StallWatch(CLOCK, lambda: (), 20, 5)
        async with watch.watching():
            await asyncio.sleep(0.02)
        assert watch.stalls == ()
        assert watch.text().startswith("0 stalls")

    async def test_only_the_latest_are_kept(self):
        watch = StallWatch(CLOCK, lambda: (), 1, 2)
        for number in range(3):
            watch._stalls.append(Stall(number, 1, True, A, (A,), None, None, None))
        assert [stall.at for stall in watch.stalls] == [2, 1]


@pytest.mark.anyio
class TestProfiler:
    def profiler(self):
        return Profiler(CLOCK, lambda: (), stall_threshold=1, stalls_kept=1)

    async def test_one_look_at_a_time_and_a_cancelled_one_ends(self):
        profiler = self.profiler()
        first = asyncio.create_task(profiler.cpu(60, 100))
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await profiler.objects(5)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        for _ in range(500):
            try:
                report = await profiler.objects(5)
                break
            except Busy:
                await asyncio.sleep(0.01)
        assert report.total > 0
        assert len(report.types) == 5
        assert "objects known" in report.text()

    @pytest.mark.parametrize(("seconds", "hz"), [(0, 100), (61, 100), (1, 0), (1, 251), (float("nan"), 1)])
    async def test_bounds(self, seconds, hz):
        with pytest.raises(ValueError, match="must hold"):
            await self.profiler().cpu(seconds, hz)

    async def test_a_type_with_a_broken_size_does_not_matter(self):
        class Odd:
            def __sizeof__(self):
                raise RuntimeError

        odd = Odd()
        assert gc.is_tracked(odd)
        assert (await self.profiler().objects(3)).total > 0


class TestAccess:
    def call(self, client="127.0.0.1", **fields):
        metadata = {name.replace("_", "-").encode(): value.encode() for name, value in fields.items()}
        return Call(b"1", "debug", metadata, (client, 1) if client else None)

    @pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000", "[::1]:8000", "10.0.0.7"])
    @pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
    def test_this_machine_may(self, client, host):
        DebugAccess(None).check(self.call(client, host=host))

    @pytest.mark.parametrize("client", ["192.0.2.1", None, "testclient"])
    def test_others_may_not(self, client):
        with pytest.raises(Forbidden) as caught:
            DebugAccess(None).check(self.call(client, host="localhost"))
        assert caught.value.guard == "profiling"

    @pytest.mark.parametrize(
        "fields",
        [
            {"x_forwarded_for": "127.0.0.1"},
            {"forwarded": "for=127.0.0.1"},
            {"via": "1.1 proxy"},
            {"sec_fetch_site": "cross-site"},
            {"sec_fetch_site": "same-site"},
            {"host": "evil.example"},
            {"host": "localhost.evil.example:80"},
            {"host": "[evil"},
        ],
    )
    def test_what_was_sent_for_somebody_else_may_not(self, fields):
        with pytest.raises(Forbidden):
            DebugAccess(None).check(self.call(**fields))

    @pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer wrong", "Basic token", "token", "Bearer tökén"])
    def test_without_the_token_nobody_may(self, sent):
        call = self.call(**({} if sent is None else {"authorization": sent}))
        with pytest.raises(Unauthorized):
            DebugAccess("token").check(call)

    def test_with_the_token_anybody_may(self):
        DebugAccess("token").check(self.call("192.0.2.1", authorization="bearer token", x_forwarded_for="x"))


@pytest.mark.anyio
class TestRoutes:
    def service(self, **options):
        return Service("shop", settings=replace(settings(), profiling=ProfilingSettings(**options)))

    async def ask(self, service, path):
        return await exchange(service, "GET", path, client=("127.0.0.1", 5))

    async def test_off_there_is_nothing(self):
        service = self.service()
        assert (await self.ask(service, "/debug/")).status == 404
        assert service.profiler is None

    async def test_a_route_of_the_users_own_wins(self):
        service = self.service(enabled=True)

        @service.get("/debug/tasks")
        async def tasks() -> str:
            return "mine"

        assert (await self.ask(service, "/debug/tasks")).json() == "mine"
        assert (await self.ask(service, "/debug/")).status == 404

    async def test_a_recompilation_keeps_the_profiler(self):
        service = self.service(enabled=True)
        service.build()
        before = service.profiler
        service.rebuild()
        assert service.profiler is before
        assert before is not None
