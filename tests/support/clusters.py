"""Servers of a test's own, which it may stop: PostgreSQL and Redis, in a temporary folder, on a free port."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from redis import Redis

from support.stores import missing

__all__ = ["OwnCluster", "OwnPostgres", "OwnRedis", "OwnSentinel", "until"]

PATIENCE = 60.0


def free_port() -> int:
    """Return a port for a server that binds it later, and again whenever it is restarted.

    It is below those that systems give to outgoing connections and to who asks for any: such a one could be taken by
    another test, or by the tests that run beside this one, before the server has it.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class OwnPostgres:
    """A PostgreSQL server of this machine's binaries, run by a user that is not root.

    With *primary*, which must be running, it is a replica that streams from that one.
    """

    def __init__(self, folder: Path, name: str = "cluster", primary: OwnPostgres | None = None) -> None:
        places = [Path(each) for each in os.environ["PATH"].split(os.pathsep)]
        places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
        needed = ("initdb", "pg_ctl", *(("pg_basebackup",) if primary is not None else ()))
        found = next((place for place in places if all((place / each).exists() for each in needed)), None)
        if found is None:
            missing(f"PostgreSQL's {' and '.join(needed)}", "they are not installed")
        self.binaries = found
        self.folder = folder / name
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
        if primary is not None:
            self.folder.chmod(0o700)
            where = ("-h", "127.0.0.1", "-p", str(primary.port), "-U", "tester", "-D", str(self.folder))
            self.run("pg_basebackup", *where, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast")
            return
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

    def end(self) -> None:
        """Stop it if it runs."""
        if (self.folder / "postmaster.pid").exists():
            self.stop("immediate")

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

    def start(self, *arguments: str, folder: Path = Path("/tmp")) -> None:
        options = ["--port", str(self.port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
        self._run([*options, *arguments], folder)

    def _run(self, arguments: Sequence[str], folder: Path) -> None:
        self.process = subprocess.Popen([self.binary, *arguments], stdout=subprocess.DEVNULL, cwd=folder)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise AssertionError("redis-server did not start")

    def ask(self, *command: str) -> Any:
        with Redis(port=self.port) as client:
            return client.execute_command(*command)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class OwnSentinel(OwnRedis):
    """A sentinel over a master and a replica; it finds within a second that the master is gone."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.master, self.replica = OwnRedis(), OwnRedis()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.__exit__)
            self._start()
            stack.pop_all()
        return self

    def _start(self) -> None:
        self.master.start(folder=self.folder)
        self.replica.start("--replicaof", "127.0.0.1", str(self.master.port), folder=self.folder)
        until("the replica follows", lambda: self.replica.ask("INFO", "replication").get("master_link_status") == "up")
        configuration = self.folder / "sentinel.conf"  # which a sentinel writes to
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {self.master.port} 1\n"
            "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
        )
        self._run([str(configuration), "--sentinel"], self.folder)
        until("the sentinel knows the replica", lambda: len(self.ask("SENTINEL", "REPLICAS", "shop")) == 1)

    def __exit__(self, *_: object) -> None:
        for each in (self, self.master, self.replica):
            each.stop()

    @property
    def url(self) -> str:
        return f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{self.port}/shop/0"


class OwnCluster:
    """Three masters that share the slots."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes = [OwnRedis() for _ in range(3)]
        self.buses = [free_port() for _ in self.nodes]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.__exit__)
            for number, node in enumerate(self.nodes):
                self.start(number)
                first, last = number * 16384 // 3, (number + 1) * 16384 // 3 - 1
                node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(last))
                node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            for node in self.nodes[1:]:
                node.ask("CLUSTER", "MEET", "127.0.0.1", str(self.nodes[0].port), str(self.buses[0]))
            until("the cluster is whole", self.is_whole)
            stack.pop_all()
        return self

    def start(self, number: int) -> None:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-config-file")
        bus = ("--cluster-port", str(self.buses[number]))
        self.nodes[number].start(*options, f"nodes-{number}.conf", *bus, folder=self.folder)

    def is_whole(self) -> bool:
        told = [node.ask("CLUSTER", "INFO") for node in self.nodes]
        return all("cluster_state:ok" in each and "cluster_known_nodes:3" in each for each in map(str, told))

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()

    @property
    def url(self) -> str:
        return f"redis+cluster://127.0.0.1:{free_port()},127.0.0.1:{self.nodes[0].port}"


def until(what: str, true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"not in time: {what}"
        time.sleep(0.02)
