# ruff: noqa: INP001, S603, T201 - a script, in no package, which starts the tools of this project and prints
"""Runs every check and test of this repository side by side: most tests wait more than they compute.

`make lint` runs beside several pytest processes, each over its own part of ``tests/``; those tests that judge how a
loaded server does follow when there is nothing beside them. What each prints is kept apart and shown whole when it has
ended; until then a line tells every half a minute how far they are.

Usage: ``python scripts/run_tests.py``. Ctrl-C lets the tests that run clean up, and shows what they printed.

Exit status: 0 where everything passed, 1 where anything failed, 130 where it was stopped.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

__all__ = ["main"]

ROOT = Path(__file__).resolve().parent.parent
TELL, LOOK = 30.0, 0.2
"""Seconds between two lines about how far it is; and between two looks at who has ended."""
GRACE = 60.0
"""Seconds for cleaning up, once told to stop."""

PARTS: dict[str, tuple[str, ...]] = {
    "faults": ("tests/faults",),
    "served": (
        "tests/integration/carriers",
        "tests/integration/docs",
        "tests/integration/telemetry",
        "tests/integration/test_cli.py",
    ),
    "integration": ("tests/integration",),
    "store": ("tests/integration/store_http", "tests/integration/storefront"),
    "rest": ("tests",),
    "alone": ("tests/faults/test_database_faults.py", "tests/faults/test_overload_sockets.py"),
}
"""What each part runs, but for what another part names within it: nothing is forgotten, and nothing runs twice.

Parts that run at the same time share no name: each makes databases, prefixes in Redis, ports and folders of its own.
"""
TOGETHER = (("faults", "served"), ("integration",), ("lint", "store", "rest"))
"""What runs at the same time: each of these lanes takes about as long, and within it one follows the other."""
AFTERWARDS = (("alone",),)

_PROGRESS = re.compile(r"^(?:\S+\.py )?([.sxXFE]+) *(?:\[ *(\d+)%\])?$", re.MULTILINE)
_ENDED = re.compile(r"^=+ (.* in [\d.]+s.*?) =+$", re.MULTILINE)


class Side:
    """One of the processes that run side by side, and what it has printed."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._path = folder / name
        self._began = time.monotonic()
        self.took: float | None = None
        self._stopped = False
        with self._path.open("wb") as output:
            # In a session of its own it does not get the terminal's Ctrl-C, but ours, and once.
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        """What it has printed until now."""
        return self._path.read_text("utf-8", "replace")

    @property
    def passed(self) -> bool:
        """Whether it has ended well."""
        return self._process.returncode == 0

    @property
    def far(self) -> str:
        """How far it is, in a word or two."""
        if self.took is not None:
            return "passed" if self.passed else "stopped" if self._stopped else "FAILED"
        found = _PROGRESS.findall(self.text)
        failed = sum(letters.count("F") + letters.count("E") for letters, _ in found)
        percent = next((percent for _, percent in reversed(found) if percent), "")
        return (f"{percent} %" if percent else "running") + (f", {failed} failed" if failed else "")

    @property
    def result(self) -> str:
        """How it ended."""
        counts = _ENDED.findall(self.text)
        return f"{self.name:10} {self.far} in {clock(self.took or 0)}" + (f"  ({counts[-1]})" if counts else "")

    def ended(self) -> bool:
        """Return whether it has ended, and note when."""
        if self.took is None and self._process.poll() is not None:
            self.took = time.monotonic() - self._began
        return self.took is not None

    def show(self) -> None:
        """Print what it was and everything it printed."""
        print(f"\n━━━ {self.name}: {' '.join(self._command)}\n{self.text.rstrip()}\n━━━ {self.result}\n", flush=True)

    def stop(self) -> None:
        """Ask it to stop as Ctrl-C does."""
        # pytest ends what its tests have started; make leaves that to who pressed the keys.
        if self._process.poll() is None:
            self._stopped = True
            (os.killpg if self.name == "lint" else os.kill)(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        """End it and what it has started, where it still runs."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def clock(seconds: float) -> str:
    """Return *seconds* as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def command_of(name: str) -> list[str]:
    """Return what runs under *name*."""
    if name == "lint":
        return ["make", "--no-print-directory", "lint"]
    own = PARTS[name]
    others = [path for part, paths in PARTS.items() if part != name for path in paths]
    ignored = [f"--ignore={path}" for path in others if path.startswith(tuple(f"{each}/" for each in own))]
    return [sys.executable, "-m", "pytest", "--durations=5", "-o", f"cache_dir=.pytest_cache/{name}", *own, *ignored]


class Run:
    """Everything that runs, side by side and one after the other."""

    def __init__(self, folder: Path) -> None:
        self.sides: list[Side] = []
        self._folder = folder
        self._began = self._told = time.monotonic()

    def all(self) -> None:
        """Run everything."""
        print("Side by side: " + ", ".join(" and then ".join(lane) for lane in TOGETHER), flush=True)
        self.together(TOGETHER)
        self.together(AFTERWARDS)

    def together(self, lanes: tuple[tuple[str, ...], ...]) -> None:
        """Run the first of each of *lanes* at the same time, the others behind them; show each when it has ended."""
        behind = [iter(lane) for lane in lanes]
        running = {self.start(next(lane)): lane for lane in behind}
        while running:
            time.sleep(LOOK)
            for side in [each for each in running if each.ended()]:
                lane = running.pop(side)
                side.show()
                for following in itertools.islice(lane, 1):
                    running[self.start(following)] = lane
            if time.monotonic() - self._told >= TELL:
                self._told = time.monotonic()
                states = " · ".join(f"{side.name}: {side.far}" for side in self.sides)
                print(f"{clock(self._told - self._began):>6}  {states}", flush=True)

    def start(self, name: str) -> Side:
        """Start what *name* stands for."""
        side = Side(name, command_of(name), self._folder)
        self.sides.append(side)
        return side

    def stop(self) -> None:
        """Let what runs clean up, for so long, and show it."""
        running = [side for side in self.sides if not side.ended()]
        for side in running:
            side.stop()
        end = time.monotonic() + GRACE
        while time.monotonic() < end and not all(side.ended() for side in running):
            time.sleep(LOOK)
        self.kill()
        for side in running:
            side.ended()
            side.show()

    def kill(self) -> None:
        """End at once what still runs."""
        for side in self.sides:
            side.kill()


def interrupted(_number: int, _frame: FrameType | None) -> None:
    """End the run as Ctrl-C does, whatever signals were left to this process."""
    raise KeyboardInterrupt


def main() -> int:
    """Run everything and return the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    with tempfile.TemporaryDirectory(prefix="seawall-tests-") as folder:
        run = Run(Path(folder))
        try:
            run.all()
        except KeyboardInterrupt:
            print("\nStopping what runs; once more to stop at once …", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                run.stop()
            return 130
        finally:
            run.kill()
        for side in run.sides:
            print(side.result)
    return 0 if all(side.passed for side in run.sides) else 1


if __name__ == "__main__":
    sys.exit(main())
