"""Servers of a test's own, which it may stop: PostgreSQL and Redis, in a temporary folder, on a free port."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from pathlib import Path

from support.stores import missing

__all__ = ["OwnPostgres", "OwnRedis"]

PATIENCE = 20.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OwnPostgres:
    """A PostgreSQL server of this machine's binaries, run by a user that is not root."""

    def __init__(self, folder: Path) -> None:
        places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
        found = shutil.which("initdb") or (str(places[-1]) if places else None)
        if found is None:
            missing("PostgreSQL's initdb", "it is not installed")
        self.binaries = Path(found).parent
        self.folder = folder / "cluster"
        self.port = free_port()
        self.user = None
        if os.geteuid() == 0:  # PostgreSQL does not run as root
            try:
                self.user = pwd.getpwnam("postgres")
            except KeyError as error:
                missing("a user to run PostgreSQL", error)
        self.folder.mkdir()
        if self.user:
            os.chown(self.folder, self.user.pw_uid, self.user.pw_gid)
            for parent in list(self.folder.parents)[:3]:
                if parent.stat().st_uid == os.geteuid() and parent != Path("/tmp"):
                    parent.chmod(0o755)
        self.run("initdb", "-D", str(self.folder), "-U", "tester", "--auth=trust", "-N", "-E", "UTF8")

    @property
    def url(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    def run(self, name: str, *arguments: str) -> None:
        extra = {"user": self.user.pw_uid, "group": self.user.pw_gid} if self.user else {}
        done = subprocess.run(
            [self.binaries / name, *arguments], capture_output=True, timeout=PATIENCE, cwd="/", check=False, **extra
        )
        assert done.returncode == 0, (done.stdout + done.stderr).decode()

    def start(self) -> None:
        options = f"-p {self.port} -k {self.folder} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=40"
        self.run("pg_ctl", "-D", str(self.folder), "-w", "-o", options, "-l", str(self.folder / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        self.run("pg_ctl", "-D", str(self.folder), "-w", "-m", mode, "stop")


class OwnRedis:
    """A Redis server of this machine's binary; nothing of it is kept."""

    def __init__(self) -> None:
        found = shutil.which("redis-server") or shutil.which("valkey-server")
        if found is None:
            missing("redis-server", "it is not installed")
        self.binary = found
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [
                self.binary,
                "--port",
                str(self.port),
                "--save",
                "",
                "--appendonly",
                "no",
                "--bind",
                "127.0.0.1",
                *arguments,
            ],
            stdout=subprocess.DEVNULL,
            cwd="/tmp",
        )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
