"""Who takes part, how each is started, and what it needs to be there."""

from dataclasses import dataclass
from typing import Any

from benchmarks.contenders import identity
from benchmarks.harness.paths import BUILD, PYTHON

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Contender:
    """One program under test.

    Args:
        name: What it is called.
        kind: `uvicorn`, `seawall` or `go`.
        target: An import path, or a binary.
        packages: The packages whose versions are in the results.
        routes: Whether it takes part in the `routes` workloads.
        variables: What it gets in its environment.
        options: Its arguments, for Go.
        families: The other families of workloads that it takes part in.
        guarded: Whether it has the production stack: it must refuse tokens that are not valid.
        logs: Whether it writes a line for each call, which goes to /dev/null while it is measured.
    """

    name: str
    kind: str
    target: str
    packages: tuple[str, ...] = ()
    routes: bool = True
    variables: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()
    families: tuple[str, ...] = ("get", "post")
    guarded: bool = False
    logs: bool = False

    def command(self, port: int) -> list[str]:
        """Return the one command that serves this contender on a loopback port."""
        if self.kind == "go":
            return [str(BUILD / self.target), "-address", f"{HOST}:{port}", *self.options]
        address = ["--host", HOST, "--port", str(port)]
        if self.kind == "seawall":
            return [str(PYTHON), "-m", "seawall", "run", self.target, *address, *SEAWALL_OPTIONS]
        return [str(PYTHON), "-m", "uvicorn", self.target, *address, *UVICORN_OPTIONS]

    @property
    def environment(self) -> dict[str, str]:
        """Return what this contender gets in its environment beside the harness's own."""
        return {"GOMAXPROCS": "1", **dict(self.variables)} if self.kind == "go" else dict(self.variables)


UVICORN_OPTIONS = (
    *("--workers", "1"),
    *("--loop", "uvloop"),
    *("--http", "httptools"),
    *("--ws", "none"),
    *("--log-level", "warning"),
    "--no-access-log",
    "--no-proxy-headers",
    "--no-server-header",
)

SEAWALL_OPTIONS: tuple[str, ...] = ()
# What `seawall run` needs to do no more than the others, which log and count nothing and take on whatever comes.
RECORDED_VARIABLES = (("SEAWALL_ADMISSION_ENABLED", "false"),)
SEAWALL_VARIABLES = (("SEAWALL_LOG_ACCESS", "false"), ("SEAWALL_TELEMETRY_METRICS", "never"), *RECORDED_VARIABLES)
# The Go programs with the stack read here what the Python ones import.
STACK_VARIABLES = (
    ("BENCH_SECRET", identity.SECRET),
    ("BENCH_ISSUER", identity.ISSUER),
    ("BENCH_AUDIENCE", identity.AUDIENCE),
    ("BENCH_ROLE", identity.ROLE),
    ("BENCH_RATE", str(identity.RATE)),
    ("BENCH_TIMEOUT", str(identity.TIMEOUT)),
    ("BENCH_TOKEN_CACHE", str(identity.TOKEN_CACHE)),
)
FASTAPI_STACK = ("pyjwt", "slowapi", "prometheus-fastapi-instrumentator", "structlog", "asgi-correlation-id")


def _stack(name: str, kind: str, target: str, *, guarded: bool = True, **more: Any) -> Contender:
    return Contender(name, kind, target, routes=False, families=("stack",), guarded=guarded, **more)


CONTENDERS = (
    Contender("raw", "uvicorn", "benchmarks.contenders.raw_app:app", ("uvicorn", "msgspec"), routes=False),
    Contender(
        "seawall",
        "seawall",
        "benchmarks.contenders.seawall_app:service",
        ("seawall",),
        variables=SEAWALL_VARIABLES,
        families=("get", "post", "stack"),
    ),
    Contender(
        "seawall-asgi",
        "seawall",
        "benchmarks.contenders.seawall_app:service",
        ("seawall",),
        variables=(("SEAWALL_SERVER_CARRIER", "asgi"), *SEAWALL_VARIABLES),
    ),
    Contender(
        "seawall-recorded",
        "seawall",
        "benchmarks.contenders.seawall_app:service",
        routes=False,
        variables=RECORDED_VARIABLES,
        logs=True,
    ),
    Contender("starlette", "uvicorn", "benchmarks.contenders.starlette_app:app", ("starlette",)),
    Contender("fastapi", "uvicorn", "benchmarks.contenders.fastapi_app:app", ("fastapi", "pydantic")),
    Contender("litestar", "uvicorn", "benchmarks.contenders.litestar_app:app", ("litestar",)),
    Contender("blacksheep", "uvicorn", "benchmarks.contenders.blacksheep_app:app", ("blacksheep",)),
    Contender("falcon", "uvicorn", "benchmarks.contenders.falcon_app:app", ("falcon",)),
    Contender("nethttp", "go", "go_nethttp"),
    Contender("gin", "go", "go_gin"),
    Contender("gin-bind", "go", "go_gin", routes=False, options=("-bind",)),
    _stack("seawall-stack", "seawall", "benchmarks.contenders.seawall_stack:service", packages=("seawall",)),
    _stack(
        "seawall-unguarded",
        "seawall",
        "benchmarks.contenders.seawall_stack:unguarded",
        packages=("seawall",),
        variables=SEAWALL_VARIABLES,
        guarded=False,
    ),
    _stack("gin-stack", "go", "go_gin_stack", variables=STACK_VARIABLES),
    _stack("gin-stack-cached", "go", "go_gin_stack", variables=STACK_VARIABLES, options=("-cache",)),
    _stack("fastapi-stack", "uvicorn", "benchmarks.contenders.fastapi_stack:app", packages=FASTAPI_STACK),
)
