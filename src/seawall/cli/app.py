"""The commands: their names, options and help. What they do is in the modules beside this one.

Those are imported when a command runs, so that ``--help`` and completion answer at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from seawall.cli.database import db
from seawall.cli.report import CommandError, reporting

__all__ = ["app"]

SERVE, LOOK = "Serve", "Look"

app = typer.Typer(
    name="seawall",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Settings come from SEAWALL_… variables and [bold]seawall.toml[/]; options given here win.",
)

app.add_typer(db, name="db", rich_help_panel="Data")

App = Annotated[
    str,
    typer.Argument(
        metavar="APP",
        show_default=False,
        help="The service, as MODULE:ATTRIBUTE. 'shop' means 'shop:service'; 'shop:create()' calls a function.",
    ),
]
Traceback = Annotated[
    bool,
    typer.Option("--traceback", envvar="SEAWALL_TRACEBACK", help="Show the traceback of an error.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Write JSON, for other programs.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 is every one.", rich_help_panel="Where")]
Port = Annotated[
    int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.", rich_help_panel="Where")
]
Uds = Annotated[
    Path | None, typer.Option(metavar="PATH", help="Unix socket to listen on instead.", rich_help_panel="Where")
]
Fd = Annotated[
    list[int] | None,
    typer.Option(
        min=0, help="Open socket to listen on instead, from a supervisor; repeatable.", rich_help_panel="Where"
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=256,
        show_default=False,
        help="Processes that serve, best one for each core. A supervisor starts them, watches them, and replaces them "
        "on SIGHUP without losing a request.",
    ),
]
Server = Annotated[
    Literal["uvicorn", "granian"] | None,
    typer.Option(
        help="What speaks HTTP: uvicorn, with everything Seawall adds to it, or granian, for HTTP/2.",
        rich_help_panel="How",
    ),
]
Certificate = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Certificate, as PEM; the server then speaks https only.", rich_help_panel="How"),
]
Key = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Its key, as PEM; by default in the same file.", rich_help_panel="How"),
]
ClientCa = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Authorities, as PEM, whose certificates clients must show.", rich_help_panel="How"
    ),
]
Level = Annotated[
    Literal["debug", "info", "warning", "error", "critical"] | None,
    typer.Option(help="Least severe lines to log."),
]


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version  # noqa: PLC0415 - see the module's docstring

        typer.echo(f"seawall {version('seawall')}")
        raise typer.Exit


@app.callback()
def seawall(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_show_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Serve typed async functions as an API, and look at what is served.

    APP names your service: [bold]module:attribute[/]. Short for [bold]shop:service[/] is [bold]shop[/].

    [bold]Start here[/]

        seawall dev shop:service       serve it while you write it
        seawall routes shop:service    see what it offers
        seawall run shop:service       serve it in production
    """


@app.command(rich_help_panel=SERVE)
def run(
    target: App,
    host: Host = None,
    port: Port = None,
    uds: Uds = None,
    fd: Fd = None,
    workers: Workers = None,
    server: Server = None,
    tls_certificate: Certificate = None,
    tls_key: Key = None,
    tls_client_ca: ClientCa = None,
    log_level: Level = None,
    traceback: Traceback = False,
    worker: Annotated[str | None, typer.Option(hidden=True, help="For a supervisor's use.")] = None,
) -> None:
    """Serve a service in production.

    SIGTERM or Ctrl+C end it, with status 0, once running calls have ended. SIGHUP reads settings and certificates
    again; with several workers, it replaces them one by one, with new code, settings and certificates, and SIGUSR1
    logs how they are.

    [bold]Examples[/]

        seawall run shop:service
        seawall run shop:service --host 0.0.0.0 --port 80 --workers 4
        seawall run shop:service --uds /run/shop.sock
        seawall run shop:service --tls-certificate shop.pem --tls-key shop.key
    """
    with reporting(with_traceback=traceback):
        from seawall.cli.serving import How, Where  # noqa: PLC0415 - see the module's docstring
        from seawall.cli.working import run_service  # noqa: PLC0415 - see the module's docstring

        where, how = Where(host, port, uds, tuple(fd or ())), How(server, tls_certificate, tls_key, tls_client_ca)
        raise typer.Exit(run_service(target, where, how, log_level, workers, worker, with_traceback=traceback))


@app.command(rich_help_panel=SERVE)
def dev(
    target: App,
    host: Host = None,
    port: Port = None,
    uds: Uds = None,
    fd: Fd = None,
    log_level: Level = None,
    reload: Annotated[bool, typer.Option(help="Start anew when a file changes.")] = True,
    watch: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", exists=True, help="Folder to watch besides the current one; repeatable."),
    ] = None,
    workers: Annotated[int | None, typer.Option(hidden=True)] = None,
    traceback: Traceback = False,
) -> None:
    """Serve a service while you write it: reloading, one line per request, errors with their traceback.

    An unexpected error is answered with its traceback: a page for browsers, JSON for everything else.

    [bold]Examples[/]

        seawall dev shop:service
        seawall dev shop:service --port 9000 --watch ../common
    """
    with reporting(with_traceback=traceback):
        from seawall.cli.serving import Where, develop  # noqa: PLC0415 - see the module's docstring

        if workers is not None:
            raise CommandError(
                "seawall dev serves with one process, so that it can reload; there is no --workers.",
                f"To try several: seawall run {target} --workers {workers}",
                usage=True,
            )
        where = Where(host, port, uds, tuple(fd or ()))
        status = develop(target, where, log_level, tuple(watch or ()), reload=reload, with_traceback=traceback)
        raise typer.Exit(status)


@app.command(rich_help_panel=LOOK)
def routes(target: App, as_json: Json = False, traceback: Traceback = False) -> None:
    """List what a service offers: method, path, operation, and what stands in front of it.

    [bold]Examples[/]

        seawall routes shop:service
        seawall routes shop:service --json | jq '.routes[].path'
    """
    with reporting(with_traceback=traceback):
        from seawall.cli.routes import show_routes  # noqa: PLC0415 - see the module's docstring

        show_routes(target, as_json=as_json)


@app.command(rich_help_panel=LOOK)
def plan(
    target: App,
    operation: Annotated[
        str | None, typer.Argument(help="One operation; all of them by default.", show_default=False)
    ] = None,
    source: Annotated[bool, typer.Option("--source", help="Show the code compiled for each operation.")] = False,
    carrier: Annotated[
        str,
        typer.Option(help="What the plan is compiled for: asgi (any server), wire (this one), direct (no transport)."),
    ] = "asgi",
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Show the plan of each operation: its guards in their order, and its policy.

    [bold]Examples[/]

        seawall plan shop:service
        seawall plan shop:service read_order --source
    """
    with reporting(with_traceback=traceback):
        from seawall.cli.plans import show_plans  # noqa: PLC0415 - see the module's docstring

        show_plans(target, operation, carrier, source=source, as_json=as_json)


@app.command(rich_help_panel=LOOK)
def openapi(
    target: App,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write there instead of the terminal.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", help="One version, where callers name it outside the path.")
    ] = None,
    traceback: Traceback = False,
) -> None:
    """Write the OpenAPI 3.1 document of a service, as JSON.

    [bold]Examples[/]

        seawall openapi shop:service -o openapi.json
        seawall openapi shop:service | jq .paths
    """
    with reporting(with_traceback=traceback):
        from seawall.cli.document import write_document  # noqa: PLC0415 - see the module's docstring

        write_document(target, output, version)
