"""Makes what the contenders run on: one virtual environment for Python, one binary each for Go."""

import hashlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.harness.contenders import CONTENDERS, Contender
from benchmarks.harness.interpreter import quickest
from benchmarks.harness.paths import BENCHMARKS, BUILD, PYTHON, REQUIREMENTS, ROOT, VENV

DEBIAN_GOPATH = Path("/usr/share/gocode")  # where Debian's golang-*-dev packages put their sources


@dataclass(frozen=True, slots=True)
class GoProgram:
    """What a binary is built from: a folder, build tags, and packages as `(import path, Debian package)`."""

    source: str
    tags: str = ""
    needs: tuple[tuple[str, str], ...] = ()


GIN = (("github.com/gin-gonic/gin", "golang-github-gin-gonic-gin-dev"),)
PROGRAMS = {
    "go_nethttp": GoProgram("go_nethttp"),
    "go_gin": GoProgram("go_gin", needs=GIN),
    "go_gin_stack": GoProgram(
        "go_gin",
        "stack",
        (
            *GIN,
            ("github.com/golang-jwt/jwt", "golang-github-golang-jwt-jwt-dev"),
            ("github.com/google/uuid", "golang-github-google-uuid-dev"),
            ("github.com/prometheus/client_golang/prometheus", "golang-github-prometheus-client-golang-dev"),
            ("github.com/rs/zerolog", "golang-github-rs-zerolog-dev"),
            ("golang.org/x/time/rate", "golang-golang-x-time-dev"),
        ),
    ),
}


class UnavailableError(Exception):
    """This contender cannot take part here; the message says why."""


def prepare_python(python: str | None) -> None:
    """Make benchmarks/.venv, again whenever the pinned versions or Seawall's own dependencies have changed.

    Args:
        python: The interpreter; the quickest there is by default. One that is named is used from now on.

    Raises:
        subprocess.CalledProcessError: The packages could not be installed; pip has said why.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    stamp = VENV / "installed.sha256"
    if PYTHON.exists() and stamp.exists() and stamp.read_text() == wanted and python is None:
        return
    python = python or quickest()
    print("Installing the Python contenders into benchmarks/.venv …", flush=True)
    subprocess.run([python, "-m", "venv", "--clear", str(VENV)], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", str(REQUIREMENTS), "-e", f"{ROOT}[auth]"], check=True)
    stamp.write_text(wanted)


def prepare_go(contender: Contender) -> None:
    """Build a Go contender unless its binary is newer than its source.

    Raises:
        UnavailableError: Go or a package is not installed, or the compiler refused.
    """
    go = shutil.which("go")
    if go is None:
        raise UnavailableError("Go is not installed (Debian: golang-go)")
    program = PROGRAMS[contender.target]
    if absent := [debian for path, debian in program.needs if not (DEBIAN_GOPATH / "src" / path).is_dir()]:
        raise UnavailableError(f"Go packages are not installed (Debian: {' '.join(absent)})")
    source = BENCHMARKS / "contenders" / program.source
    binary = BUILD / contender.target
    if binary.exists() and binary.stat().st_mtime > max(file.stat().st_mtime for file in source.glob("*.go")):
        return
    BUILD.mkdir(exist_ok=True)
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(DEBIAN_GOPATH), "GOFLAGS": ""}
    build = subprocess.run(
        [go, "build", "-tags", program.tags, "-o", str(binary), "."],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if build.returncode != 0:
        raise UnavailableError(f"the Go compiler refused it: {build.stderr.strip()}")


def prepare(names: set[str], python: str | None = None) -> tuple[list[Contender], dict[str, str]]:
    """Make ready the contenders of these names; return those that can run and why the others cannot."""
    chosen = [contender for contender in CONTENDERS if contender.name in names]
    ready: list[Contender] = []
    skipped: dict[str, str] = {}
    if any(contender.kind != "go" for contender in chosen):
        prepare_python(python)
    for contender in chosen:
        try:
            if contender.kind == "go":
                prepare_go(contender)
            ready.append(contender)
        except UnavailableError as reason:
            skipped[contender.name] = str(reason)
    return ready, skipped
