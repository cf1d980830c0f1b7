"""Chooses the interpreter that all Python contenders share: the quickest there is.

Builds of one version differ by a third: one without profile-guided optimisation is not what anybody serves with, and
would make every Python contender look worse beside Go than it is.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("python3.14", "python3.13", "python3.12", "python3.11", "python3")
PROBE = """
import sys, timeit
assert sys.version_info >= (3, 11)
def work(number):
    table = {}
    for index in range(20):
        table[index] = (number, str(index))
    return len(table)
print(min(timeit.repeat(lambda: work(5), number=20_000, repeat=7)) / 20_000 * 1e6)
"""


def quickest() -> str:
    """Return the path of the quickest interpreter on the PATH that can make virtual environments.

    One that is quicker and cannot is named on standard error, with what it lacks: it is what would be served with.
    """
    by_speed = sorted((took, path) for path in _candidates() if (took := speed(path)) < float("inf"))
    for _, path in by_speed:
        if makes_environments(path):
            return path
        print(f"{path} is quicker, but cannot make virtual environments: install python3-venv.", file=sys.stderr)
    return sys.executable


def makes_environments(python: str) -> bool:
    """Return whether *python* has what `python -m venv` needs; Debian packages that apart."""
    return subprocess.run([python, "-c", "import venv, ensurepip"], capture_output=True, check=False).returncode == 0


def speed(python: str) -> float:
    """Return the microseconds a small piece of Python takes; without bounds for what does not run it."""
    run = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
    return float(run.stdout) if run.returncode == 0 else float("inf")


def _candidates() -> list[str]:
    found = [getattr(sys, "_base_executable", sys.executable)]
    for folder in os.get_exec_path():
        found += [path for name in NAMES if (path := shutil.which(name, path=folder))]
    # In a virtual environment the PATH begins with the environment's own, which is a link to one of the others.
    return list({str(Path(path).resolve()): path for path in found if not _in_environment(path)}.values())


def _in_environment(path: str) -> bool:
    return (Path(path).parent.parent / "pyvenv.cfg").exists()
