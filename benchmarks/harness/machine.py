"""What the numbers were measured on."""

import os
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.harness.contenders import Contender
from benchmarks.harness.interpreter import speed
from benchmarks.harness.paths import BUILD, PYTHON

SERVER_PACKAGES = ("uvicorn", "uvloop", "httptools", "msgspec")


def describe() -> dict[str, Any]:
    """Return processor, cores, kernel, interpreters, tools, load of the machine and date."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "python": _said([str(PYTHON), "-c", "import platform; print(platform.python_version())"]),
        "python_probe_microseconds": round(speed(str(PYTHON)), 2),
        "go": _said(["go", "version"]),
        "wrk": _said(["wrk", "--version"], ok=(0, 1)).partition(" [")[0],
        "load_average_1m": round(os.getloadavg()[0], 2),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def versions(contenders: list[Contender]) -> dict[str, str]:
    """Return the version of every contender and of the server under the Python ones."""
    packages = sorted({*SERVER_PACKAGES, *(name for contender in contenders for name in contender.packages)})
    script = f"from importlib.metadata import version\nfor name in {packages!r}: print(name, version(name))"
    found = {}
    if any(contender.kind != "go" for contender in contenders):
        found = dict(line.split() for line in _said([str(PYTHON), "-c", script]).splitlines())
    for contender in contenders:
        if contender.kind == "go":
            found[contender.name] = _said([str(BUILD / contender.target), "-versions"])
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _said(command: list[str], ok: tuple[int, ...] = (0,)) -> str:
    if shutil.which(command[0]) is None:
        return "absent"
    run = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    return run.stdout.strip() if run.returncode in ok else "unknown"
