"""``seawall routes``: what a service offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seawall.cli.target import load_service
from seawall.cli.terminal import console, duration, write_json

if TYPE_CHECKING:
    from seawall.assembly import Built
    from seawall.http.route import Route

__all__ = ["describe_route", "show_routes"]


def show_routes(target: str, *, as_json: bool) -> None:
    """Print the routes and mounts of the service that *target* names.

    Raises:
        CommandError: There is no such service.
        ConfigurationError: It cannot be compiled.
    """
    service = load_service(target)
    built = service.build()
    if as_json:
        mounts = [{"path": mount.prefix, "name": mount.name} for mount in built.mounts]
        write_json(
            {"service": service.name, "routes": [describe_route(each) for each in built.routes], "mounts": mounts}
        )
        return
    _print(service.name, built)


def describe_route(route: Route) -> dict[str, Any]:
    """Return what there is to know about *route*, ready for JSON."""
    policy = route.policy
    return {
        "method": route.method,
        "path": route.path,
        "operation": route.operation.name,
        "summary": route.operation.summary,
        "version": route.version,
        "status": route.status,
        "timeout": policy.timeout,
        "guards": [guard.name for guard in policy.guards],
        "deprecated": bool(policy.deprecated),
        "documented": route.documented,
        "tags": list(route.tags),
    }


def _print(name: str, built: Built) -> None:
    from rich.table import Table  # noqa: PLC0415 - needed for people only
    from rich.text import Text  # noqa: PLC0415 - as above

    out = console()
    if not built.routes and not built.mounts:
        out.print(f"{name} offers nothing yet. Add an operation: @service.get('/hello')", markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    versioned = any(route.version for route in built.routes)
    guarded = any(route.policy.guards for route in built.routes)
    table.add_column("METHOD")
    table.add_column("PATH", overflow="fold")
    table.add_column("OPERATION", overflow="fold")
    if versioned:
        table.add_column("VERSION")
    table.add_column("STATUS", justify="right")
    table.add_column("TIMEOUT", justify="right")
    if guarded:
        table.add_column("GUARDS", overflow="fold")
    for route in built.routes:
        policy = route.policy
        label = Text(route.operation.name)
        if policy.deprecated:
            label.append(" (deprecated)", style="yellow")
        cells: list[Text | str] = [Text(route.method, style=COLOURS.get(route.method, "")), Text(route.path), label]
        if versioned:
            cells.append(Text(route.version or "-"))
        cells += [str(route.status), duration(policy.timeout)]
        if guarded:
            cells.append(Text(", ".join(guard.name for guard in policy.guards) or "-"))
        table.add_row(*cells)
    for mount in built.mounts:
        row: list[Text | str] = [Text("MOUNT", style="magenta"), Text(f"{mount.prefix or '/'}"), Text(mount.name)]
        row += ["-"] * versioned + ["-", duration(mount.policy.timeout)]
        if guarded:
            row.append(Text(", ".join(guard.name for guard in mount.policy.guards) or "-"))
        table.add_row(*row)
    out.print(table)
    out.print(
        Text(
            f"{name}: {_count(len(built.routes), 'route')}"
            f"{', ' + _count(len(built.mounts), 'mount') if built.mounts else ''}",
            style="dim",
        )
    )


COLOURS = {"GET": "green", "POST": "yellow", "PUT": "cyan", "PATCH": "cyan", "DELETE": "red"}


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
