# ruff: noqa: INP001 - a script, in no package
"""Tables of the documentation, read from the declarations they describe."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic.fields import FieldInfo
from starlette.responses import PlainTextResponse

from seawall import Check, DeclarationError, Guard, Place, Policy, Problem, Service, problems
from seawall.group import RouteOptions
from seawall.limit import Rate
from seawall.operation import PolicyOptions
from seawall.settings import HttpSettings, ServerSettings, Settings
from seawall.settings.describing import default_text
from seawall.settings.table import Table

__all__ = ["TABLES", "fragments_by_place"]

FIXED = (
    ("seawall.http.errors", "MAX_ERRORS", "errors in one answer; what comes after them is not looked for"),
    ("seawall.http.errors", "MAX_ITEMS", "items of a list that are searched for errors one by one"),
    ("seawall.http.errors", "MAX_DEPTH", "levels of a body that are searched for errors"),
    ("seawall.http.negotiation", "MAX_MEMBERS", "members of `Accept` and `Accept-Encoding` that are read"),
    ("seawall.http.proxies", "MAX_HOPS", "hops of `X-Forwarded-For` that are read, from the right"),
)


def places() -> str:
    """Return the places of a plan, the meaning of each, and what stands there."""
    meanings = dict(_documented(Place))
    standing = fragments_by_place()
    rows = []
    for place in Place:
        names = ", ".join(f"`{name}`" for name in standing.get(place, ()))
        yours = "yes" if _takes_guards(place) else ""
        rows.append((f"`{place.name}`", str(place.value), meanings[place.name], names or "nothing yet", yours))
    return _table(("place", "", "what it is for", "stands there today", "for guards of yours"), rows)


def _takes_guards(place: Place) -> bool:
    try:
        type("Any", (Guard,), {"name": "any", "place": place})
    except DeclarationError:
        return False
    return True


def _well(_: str) -> None:
    """Find nothing wrong."""


def fragments_by_place() -> dict[Place, list[str]]:
    """Return the names of all fragments that Seawall itself puts into plans, by place."""
    settings = Settings(
        http=HttpSettings(
            trusted_hosts=("example.com",),
            trusted_proxies=("10.0.0.0/8",),
            cors_origins=("https://example.com",),
        )
    )
    service = Service("all", settings=settings)
    service.resource(list, scope="call", provides=bytearray)
    service.mount("/mounted", PlainTextResponse("here"))

    @service.post("/all/{name}", rate=["9/second", Rate("9/second", key="address")], concurrency=9)
    async def everything(name: Annotated[str, Check(_well)], held: bytearray) -> str:
        return name if held else ""

    found: dict[Place, list[str]] = {}
    built = service.build()
    for plan in (*built.plans, *built.direct.values()):
        for step in plan.steps:
            names = found.setdefault(step.place, [])
            if step.name not in names:
                names.append(step.name)
    return found


def policy_options() -> str:
    """Return the options of a policy with their defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(Policy)}
    shown = {
        "timeout": "30 s, or `http.timeout`",
        "max_body": "1 MiB, or `http.max_body`",
        "guards": "none",
        "rate": "none",
    }
    shown["compress"] = "yes, or `http.compress`"
    return _table(
        ("option", "default", "meaning"),
        [(f"`{name}`", shown.get(name) or _plain(defaults[name]), text) for name, text in _documented(PolicyOptions)],
    )


def route_options() -> str:
    """Return what a route takes besides the options of its policy."""
    return _table(("option", "meaning"), [(f"`{name}`", text) for name, text in _documented(RouteOptions)])


def problem_types() -> str:
    """Return every problem, by status."""
    kinds = [each for each in vars(problems).values() if isinstance(each, type) and issubclass(each, Problem)]
    rows = [
        (str(kind.status), f"`{kind.__name__}`", f"`{kind.type}`", _first(kind.__doc__ or "").partition(": ")[2])
        for kind in sorted(kinds, key=lambda kind: kind.status)
        if kind is not Problem
    ]
    return _table(("status", "class", "`type`", "meaning"), rows)


def limits() -> str:
    """Return every setting that bounds something, with its default."""
    rows = [
        (f"`{kind.toml_table}.{name}`", f"`{kind.variable(name)}`", _default(field), field.description or "")
        for kind, name, field in _bounding()
    ]
    return _table(("setting", "variable", "default", "bounds"), rows)


def fixed_limits() -> str:
    """Return the bounds that are no settings."""
    rows = [(f"{getattr(importlib.import_module(module), name):,}", text) for module, name, text in FIXED]
    return _table(("at most", "what"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "places": places,
    "policy-options": policy_options,
    "route-options": route_options,
    "problems": problem_types,
    "limits": limits,
    "fixed-limits": fixed_limits,
}


def _bounding() -> Iterator[tuple[type[Table], str, FieldInfo]]:
    for kind in (HttpSettings, ServerSettings):
        for name, field in kind.model_fields.items():
            if name.startswith("max_") or name.endswith("timeout") or name in _OTHER_LIMITS:
                yield kind, name, field


_OTHER_LIMITS = frozenset({"keep_alive", "backlog", "shutdown_seconds"})


def _default(field: FieldInfo) -> str:
    return (default_text(field) or "none").strip('"')


def _documented(kind: Any) -> Iterator[tuple[str, str]]:
    """Yield each attribute of a class with the text that stands below it in the source."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    assert isinstance(tree.body[0], ast.ClassDef)  # noqa: S101 - the source of a class
    name = None
    for node in tree.body[0].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            name = node.target.id
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        elif name is not None and isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield name, " ".join(str(node.value.value).replace("``", "`").split())
            name = None


def _first(text: str) -> str:
    return " ".join(inspect.cleandoc(text).partition("\n\n")[0].replace("``", "`").split())


def _plain(value: Any) -> str:
    return {None: "none", True: "yes", False: "no"}.get(value, f"`{value!r}`".replace("'", '"'))


def _table(heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"
