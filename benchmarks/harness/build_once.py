"""Run in a fresh process: print the seconds from importing an application's module to its lifespan start.

`python -m benchmarks.harness.build_once MODULE:NAME FRAMEWORK`, with BENCH_ROUTES saying how many operations.
The framework itself is imported beforehand, so that what is timed is declaring and compiling the operations.
"""

import asyncio
import importlib
import sys
import time


async def start(app) -> None:
    """Run the start-up half of the ASGI lifespan protocol.

    Raises:
        RuntimeError: The application answered anything but `lifespan.startup.complete`.
    """
    asked = False
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def receive():
        nonlocal asked
        if asked:
            await asyncio.Event().wait()  # the process ends before it is told to shut down
        asked = True
        return {"type": "lifespan.startup"}

    async def send(message):
        if not answer.done():
            answer.set_result(f"{message['type']} {message.get('message', '')}".strip())

    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, receive, send))
    await asyncio.wait({task, answer}, return_when=asyncio.FIRST_COMPLETED, timeout=60)
    if not answer.done() or answer.result() != "lifespan.startup.complete":
        said = answer.result() if answer.done() else repr(task)
        raise RuntimeError(f"the application did not start: {said}")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def main() -> None:
    target, framework = sys.argv[1:]
    module, _, name = target.partition(":")
    importlib.import_module(framework)
    importlib.import_module("benchmarks.contenders.orders")
    begun = time.perf_counter()
    app = getattr(importlib.import_module(module), name)
    asyncio.run(start(app))
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
