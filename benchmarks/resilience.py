"""Policies for outgoing calls, beside their peers: what they cost per successful call, and who is right when it fails.

``python benchmarks/resilience.py`` measures in the interpreter of benchmarks/.venv, which it makes when it is not
there; ``--here`` measures in the one that runs it. CPU time, in turns, the least of the rounds: other work on the
machine changes little. Results are printed and written to results/resilience.json.
"""

# ruff: noqa: PLC0415 - each peer is imported where it takes part
import argparse
import asyncio
import gc
import importlib
import inspect
import json
import logging
import subprocess
import sys
import time
from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parent
OPEN = 0.05
FAILURES = 5
PEERS = ("seawall", "pybreaker", "aiobreaker", "purgatory", "hyx", "stamina", "tenacity")
BARS = {"breaker": 0.6, "bulkhead": 0.6, "pipeline": 4.0}


async def bare(value):
    return value


class Seawall:
    """Ours."""

    def __init__(self):
        from seawall.resilience import Backoff, Breaker, Bulkhead, Resilience, Retry, Timeout

        self.resilience = Resilience(hooks=())
        self.made = 0
        self.kinds = {
            "breaker": lambda: Breaker(
                window=FAILURES, minimum_calls=FAILURES, open_for=OPEN, longest_open=OPEN, jitter=0, probes=1
            ),
            "bulkhead": lambda: Bulkhead(limit=100),
            "timeout": lambda: Timeout(5),
            "retry": lambda: Retry(attempts=3, idempotent=True, backoff=Backoff(first=0.001)),
        }

    def __getattr__(self, kind):
        self.made += 1
        kinds = ("timeout", "retry", "breaker", "bulkhead") if kind == "pipeline" else (kind,)
        if not set(kinds) <= set(self.kinds):
            raise AttributeError(kind)
        return self.resilience.pipeline(f"{kind}-{self.made}", *[self.kinds[each]() for each in kinds])


class Pybreaker:
    """As its documentation has it for code that waits: `calling`."""

    @property
    def breaker(self):
        import pybreaker

        made = pybreaker.CircuitBreaker(fail_max=FAILURES, reset_timeout=OPEN)

        def guard(function):
            async def call(*args):
                with made.calling():
                    return await function(*args)

            return call

        return guard


class Aiobreaker:
    @property
    def breaker(self):
        import aiobreaker

        made = aiobreaker.CircuitBreaker(fail_max=FAILURES, timeout_duration=timedelta(seconds=OPEN))

        def guard(function):
            if inspect.isfunction(function):
                return made(function)

            async def call(*args):  # it decorates no bound methods
                return await made.call_async(function, *args)

            return call

        return guard


class Purgatory:
    def __init__(self):
        self.made = 0

    @property
    def breaker(self):
        from purgatory import AsyncCircuitBreakerFactory

        self.made += 1
        return AsyncCircuitBreakerFactory(default_threshold=FAILURES, default_ttl=OPEN)(f"x{self.made}")


class Hyx:
    @property
    def breaker(self):
        from hyx.circuitbreaker import consecutive_breaker

        return consecutive_breaker(failure_threshold=FAILURES, recovery_time_secs=OPEN, recovery_threshold=1)

    @property
    def bulkhead(self):
        from hyx.bulkhead import bulkhead

        return bulkhead(max_concurrency=100, max_capacity=100)

    @property
    def timeout(self):
        from hyx.timeout import timeout

        return timeout(5)

    @property
    def retry(self):
        from hyx.retry import retry

        return retry(attempts=2, backoff=0.001)  # it counts the attempts after the first

    @property
    def pipeline(self):
        return lambda function: self.timeout(self.retry(self.breaker(self.bulkhead(function))))


class Stamina:
    def __init__(self):
        import stamina.instrumentation

        stamina.instrumentation.set_on_retry_hooks([])  # or it writes a line for every retry

    @property
    def retry(self):
        import stamina

        return stamina.retry(on=Exception, attempts=3, wait_initial=0.001, wait_max=0.001, timeout=None)


class Tenacity:
    @property
    def retry(self):
        import tenacity

        return tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.001), reraise=True)


def contenders():
    found = {}
    for made in (Seawall, Pybreaker, Aiobreaker, Purgatory, Hyx, Stamina, Tenacity):
        name = made.__name__.lower()
        try:
            importlib.import_module("seawall.resilience" if name == "seawall" else name)
        except ImportError as error:
            print(f"{name} takes no part: {error}")
            continue
        found[name] = made()
    return found


async def measure(found, rounds, calls):
    """Microseconds of CPU that each policy of each contender adds to a call that goes well."""
    functions = {("bare", "call"): bare}
    for name, contender in found.items():
        for kind in ("breaker", "bulkhead", "timeout", "retry", "pipeline"):
            guard = getattr(contender, kind, None)
            if guard is not None:
                functions[name, kind] = guard(bare)
    best = dict.fromkeys(functions, float("inf"))
    gc.disable()
    for _ in range(rounds):
        for key, function in functions.items():
            await function(1)
            began = time.process_time()
            for number in range(calls):
                await function(number)
            best[key] = min(best[key], (time.process_time() - began) / calls * 1e6)
        gc.collect()
    gc.enable()
    plain = best.pop(("bare", "call"))
    return plain, {key: value - plain for key, value in best.items()}


class Backend:
    def __init__(self):
        self.reached = 0
        self.down = True
        self.gate = asyncio.Event()

    async def call(self):
        self.reached += 1
        if self.down:
            raise OSError
        await self.gate.wait()


async def opened(contender):
    backend = Backend()
    call = contender.breaker(backend.call)
    for _ in range(FAILURES + 3):
        await asyncio.gather(call(), return_exceptions=True)
    failed = backend.reached
    await asyncio.sleep(OPEN * 1.5)
    backend.reached, backend.down = 0, False
    return backend, call, failed


async def probes(contender):
    """Calls that reach a backend of 50 concurrent ones at half-open; 1 is right."""
    backend, call, failed = await opened(contender)
    if failed != FAILURES:
        return f"let {failed} failures through"
    calls = [asyncio.ensure_future(call()) for _ in range(50)]
    await asyncio.sleep(0.01)
    reached = backend.reached
    backend.gate.set()
    await asyncio.gather(*calls, return_exceptions=True)
    return reached


async def cancelled_probe(contender):
    """Whether another call may probe at once after a probe was cancelled, and still only one."""
    backend, call, _ = await opened(contender)
    probe = asyncio.ensure_future(call())
    await asyncio.sleep(0.005)
    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)
    calls = [asyncio.ensure_future(call()) for _ in range(20)]
    await asyncio.sleep(0.005)
    reached = backend.reached - 1
    backend.gate.set()
    await asyncio.gather(*calls, return_exceptions=True)
    return reached


async def late_results(contender):
    """Failures of calls that began before it opened and closed again: whether they open it once more."""
    gate, mode = asyncio.Event(), "late"

    async def target():
        if mode == "late":
            await gate.wait()
            raise OSError
        if mode == "down":
            raise OSError

    call = contender.breaker(target)
    late = [asyncio.ensure_future(call()) for _ in range(20)]
    await asyncio.sleep(0.005)
    mode = "down"
    for _ in range(FAILURES):
        await asyncio.gather(call(), return_exceptions=True)
    await asyncio.sleep(OPEN * 1.5)
    mode = "up"
    await asyncio.gather(call(), return_exceptions=True)
    gate.set()
    await asyncio.gather(*late, return_exceptions=True)
    ended = await asyncio.gather(call(), return_exceptions=True)
    return "ignored" if ended == [None] else "counted"


async def attempts_when_down(contender):
    """Attempts that 200 calls make at a backend that is down; 3 each without a budget."""
    made = 0

    async def down():
        nonlocal made
        made += 1
        raise OSError

    call = contender.retry(down)
    for _ in range(200):
        await asyncio.gather(call(), return_exceptions=True)
    return made


CASES = {
    "half-open: of 50 at once, how many reach the backend (1)": ("breaker", probes, 1),
    "a cancelled probe: of 20 at once after it, how many reach it (1)": ("breaker", cancelled_probe, 1),
    "late failures of a former generation (ignored)": ("breaker", late_results, "ignored"),
    "backend down: attempts of 200 calls, 3 each at most (up to 240)": ("retry", attempts_when_down, range(200, 241)),
}


async def judge(found):
    """What each contender does in each case, and whether that is right."""
    table = {}
    for case, (kind, run, right) in CASES.items():
        for name, contender in found.items():
            if getattr(contender, kind, None) is None:
                continue
            try:
                got = await asyncio.wait_for(run(contender), 20)
            except Exception as error:
                got = f"raised {type(error).__name__}"
            good = got in right if isinstance(right, range) else got == right
            table.setdefault(case, {})[name] = {"got": got, "right": good}
    return table


def show(plain, costs, table, found):
    kinds = ("breaker", "bulkhead", "timeout", "retry", "pipeline")
    print(f"\nCPU µs that a policy adds to a successful call (the bare call itself: {plain:.3f})\n")
    print(f"{'':12}" + "".join(f"{kind:>10}" for kind in kinds))
    for name in found:
        print(
            f"{name:12}"
            + "".join(f"{costs[name, kind]:>10.2f}" if (name, kind) in costs else f"{'':>10}" for kind in kinds)
        )
    print("\npipeline = timeout(retry(breaker(bulkhead(call)))); stamina and tenacity only retry\n")
    for case, results in table.items():
        told = ", ".join(
            f"{name}: {result['got']}{'' if result['right'] else ' ✗'}" for name, result in results.items()
        )
        print(f"{case}\n    {told}")
    print()
    for kind, bar in BARS.items():
        cost = costs["seawall", kind]
        print(f"bar {kind} ≤ {bar} µs: {cost:.2f} {'kept' if cost <= bar else 'MISSED'}")


def versions():
    found = {}
    for name in PEERS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--here", action="store_true", help="measure in this interpreter")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=20_000)
    chosen = parser.parse_args()
    if not chosen.here:
        sys.path.insert(0, str(BENCHMARKS.parent))
        from benchmarks.harness.paths import PYTHON
        from benchmarks.harness.setup import prepare_python

        prepare_python(None)
        sys.exit(subprocess.run([str(PYTHON), __file__, "--here", *sys.argv[1:]], check=False).returncode)
    logging.disable(logging.CRITICAL)
    found = contenders()
    plain, costs = asyncio.run(measure(found, chosen.rounds, chosen.calls))
    table = asyncio.run(judge(found))
    print(
        f"Python {sys.version.split(' (')[0]}; {', '.join(f'{name} {number}' for name, number in versions().items())}"
    )
    show(plain, costs, table, found)
    results = BENCHMARKS / "results" / "resilience.json"
    results.write_text(
        json.dumps(
            {
                "python": sys.version,
                "versions": versions(),
                "bare_us": plain,
                "added_us": {f"{name} {kind}": round(cost, 3) for (name, kind), cost in costs.items()},
                "correct": table,
            },
            indent=2,
        )
        + "\n"
    )


if __name__ == "__main__":
    main()
