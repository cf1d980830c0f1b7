"""Finds the service a command is about: ``module:attribute``."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import keyword
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from seawall.cli.report import CommandError
from seawall.problems import SeawallError

if TYPE_CHECKING:
    from seawall.service import Service

__all__ = ["Target", "load_service", "parse_target"]

DEFAULT_ATTRIBUTE = "service"
SKIPPED = frozenset({"tests", "docs", "build", "dist", "node_modules"})


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for: *attribute* of *module*, called without arguments where *factory* says so."""

    module: str
    attribute: str
    factory: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.attribute}{'()' if self.factory else ''}"


def parse_target(text: str) -> Target:
    """Read ``module``, ``module:attribute`` or ``module:factory()``.

    Raises:
        CommandError: It is none of these.
    """
    module, _, attribute = text.partition(":")
    if module.endswith(".py") or "/" in module or os.sep in module:
        dotted = module.removesuffix(".py").removeprefix("./").strip("/").removeprefix("src/").replace("/", ".")
        raise CommandError(
            f"{text!r} is a path; a service is named by its module.",
            f"Did you mean {dotted + ':' + (attribute or DEFAULT_ATTRIBUTE)!r}?",
            usage=True,
        )
    factory = attribute.endswith("()")
    attribute = attribute.removesuffix("()") or DEFAULT_ATTRIBUTE
    if not all(_is_name(part) for part in (*module.split("."), *attribute.split("."))):
        raise CommandError(
            f"{text!r} does not name a service; write MODULE:ATTRIBUTE, such as 'shop:service'.", usage=True
        )
    return Target(module, attribute, factory)


def load_service(text: str, kind: type[Service] | None = None) -> Service:
    """Import the service that *text* names; the current folder is searched first.

    Args:
        text: ``module:attribute``, where ``:service`` may be left out, or ``module:factory()``.
        kind: What counts as a service; `Service` by default.

    Raises:
        CommandError: There is no such module or attribute, it cannot be imported, or it is no service.
        ConfigurationError: The module declares something that cannot work.
    """
    target = parse_target(text)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    module = _import(target)
    if kind is None:
        from seawall.service import Service  # noqa: PLC0415 - `seawall --help` needs none of it

        kind = Service
    value = _attribute(target, module, kind)
    if target.factory:
        value = _call(target, value)
    if not isinstance(value, kind):
        raise CommandError(*_not_a_service(target, value, module, kind), usage=True)
    return value


def _import(target: Target) -> ModuleType:
    try:
        return importlib.import_module(target.module)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if target.module == missing or target.module.startswith(f"{missing}."):
            raise CommandError(*_no_module(target), usage=True) from None
        raise CommandError(
            f"{target.module} imports {missing!r}, which is not installed here{_where(error)}.",
            f"Install it into the environment of {sys.executable}, or correct the import.",
        ) from error
    except SyntaxError as error:
        raise CommandError(f"{error.filename}:{error.lineno}: {error.msg}") from error
    except SeawallError:
        raise
    except Exception as error:
        raise CommandError(
            f"importing {target.module} failed: {type(error).__name__}: {error}{_where(error)}"
        ) from error


def _no_module(target: Target) -> tuple[str, ...]:
    parent, _, last = target.module.rpartition(".")
    folder = Path.cwd().joinpath(*parent.split(".")) if parent else Path.cwd()
    names = sorted(_modules_in(folder))
    hints = [_did_you_mean(last, names, lambda name: f"{parent}.{name}" if parent else name, target)]
    if names:
        hints.append(f"Modules in {folder}: {', '.join(names[:12])}{', …' if len(names) > 12 else ''}")
    else:
        hints.append(f"There are no Python modules in {folder}; run the command where your project is.")
    source = Path.cwd() / "src"
    if not parent and source.is_dir() and last in _modules_in(source):
        hints.append(f"It is in {source}: install your project (pip install -e .), or set PYTHONPATH=src.")
    return (f"there is no module {target.module!r}.", *filter(None, hints))


def _modules_in(folder: Path) -> set[str]:
    if not folder.is_dir():
        return set()
    found = {path.stem for path in folder.glob("*.py") if _is_name(path.stem) and not path.stem.startswith("__")}
    for path in folder.iterdir():
        if path.is_dir() and _is_name(path.name) and path.name not in SKIPPED and any(path.glob("*.py")):
            found.add(path.name)
    return found


def _attribute(target: Target, module: ModuleType, kind: type[Any]) -> Any:
    value: Any = module
    for part in target.attribute.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            raise CommandError(
                f"module {target.module!r} ({getattr(module, '__file__', 'built in')}) has no {target.attribute!r}.",
                *_found_in(target, module, kind),
                usage=True,
            ) from None
    return value


def _found_in(target: Target, module: ModuleType, kind: type[Any]) -> Iterable[str]:
    services = [name for name, value in vars(module).items() if isinstance(value, kind)]
    if services:
        yield f"Services in it: {', '.join(f'{target.module}:{name}' for name in services)}"
        close = services if len(services) == 1 else difflib.get_close_matches(target.attribute, services, 1)
        if close:
            yield f"Did you mean {target.module + ':' + close[0]!r}?"
        return
    makers = [name for name, value in vars(module).items() if _makes(value, kind)]
    if makers:
        yield f"Did you mean {target.module + ':' + makers[0] + '()'!r}?"
        return
    names = [name for name in vars(module) if not name.startswith("_")]
    yield f"There is no service in it{'; it has ' + ', '.join(names[:12]) if names else ''}."
    yield "A service is made with: service = Service('name')"


def _makes(value: Any, kind: type[Any]) -> bool:
    if isinstance(value, type) or not callable(value):
        return False
    returns = getattr(value, "__annotations__", {}).get("return")
    return returns is kind or returns == kind.__name__


def _call(target: Target, factory: Any) -> Any:
    if not callable(factory):
        bare = f"{target.module}:{target.attribute}"
        raise CommandError(f"{bare} is no function; leave out the '()': {bare!r}.")
    try:
        return factory()
    except SeawallError:
        raise
    except Exception as error:
        raise CommandError(f"{target} failed: {type(error).__name__}: {error}{_where(error)}") from error


def _not_a_service(target: Target, value: Any, module: ModuleType, kind: type[Any]) -> tuple[str, ...]:
    made = type(value)
    what = f"{target} is {_article(made.__qualname__)} of {made.__module__}, no Seawall service."
    if _makes(value, kind):
        return (f"{target} is a function that makes a service; write '()' behind it: {str(target) + '()'!r}.",)
    if callable(value) and made.__module__.split(".")[0] in ("fastapi", "starlette", "litestar", "django", "quart"):
        return (what, f"Mount it in one: service = Service('name'); service.mount('/', {target.attribute})")
    return (what, *_found_in(target, module, kind))


def _article(noun: str) -> str:
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def _where(error: BaseException) -> str:
    """Return the innermost place of *error* in a file of the user's, as `` (file:line)``."""
    here = Path.cwd()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(here) and "site-packages" not in path.parts and not path.is_relative_to(sys.prefix):
            return f" ({path.relative_to(here)}:{frame.lineno})"
    return ""


def _did_you_mean(wrong: str, names: Iterable[str], spell: Callable[[str], str], target: Target) -> str:
    close = difflib.get_close_matches(wrong, list(names), 1)
    call = "()" if target.factory else ""
    return f"Did you mean {spell(close[0]) + ':' + target.attribute + call!r}?" if close else ""


def _is_name(text: str) -> bool:
    return text.isidentifier() and not keyword.iskeyword(text)
