"""Who takes part, how each is started, and what it needs to be there."""

from dataclasses import dataclass

from benchmarks.harness.paths import BUILD, PYTHON

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Contender:
    """One program under test: `kind` is `uvicorn`, `seawall` or `go`; `target` an import path or a binary."""

    name: str
    kind: str
    target: str
    packages: tuple[str, ...] = ()
    routes: bool = True
    variables: tuple[tuple[str, str], ...] = ()
    options: tuple[str, ...] = ()

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
        return {"GOMAXPROCS": "1"} if self.kind == "go" else dict(self.variables)


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
SEAWALL_VARIABLES = (
    ("SEAWALL_LOG_ACCESS", "false"),
    ("SEAWALL_TELEMETRY_METRICS", "never"),
    ("SEAWALL_ADMISSION_ENABLED", "false"),
)

CONTENDERS = (
    Contender("raw", "uvicorn", "benchmarks.contenders.raw_app:app", ("uvicorn", "msgspec"), routes=False),
    Contender(
        "seawall", "seawall", "benchmarks.contenders.seawall_app:service", ("seawall",), variables=SEAWALL_VARIABLES
    ),
    Contender(
        "seawall-asgi",
        "seawall",
        "benchmarks.contenders.seawall_app:service",
        ("seawall",),
        variables=(("SEAWALL_SERVER_CARRIER", "asgi"), *SEAWALL_VARIABLES),
    ),
    Contender("starlette", "uvicorn", "benchmarks.contenders.starlette_app:app", ("starlette",)),
    Contender("fastapi", "uvicorn", "benchmarks.contenders.fastapi_app:app", ("fastapi", "pydantic")),
    Contender("litestar", "uvicorn", "benchmarks.contenders.litestar_app:app", ("litestar",)),
    Contender("blacksheep", "uvicorn", "benchmarks.contenders.blacksheep_app:app", ("blacksheep",)),
    Contender("falcon", "uvicorn", "benchmarks.contenders.falcon_app:app", ("falcon",)),
    Contender("nethttp", "go", "go_nethttp"),
    Contender("gin", "go", "go_gin"),
    Contender("gin-bind", "go", "go_gin", routes=False, options=("-bind",)),
)
