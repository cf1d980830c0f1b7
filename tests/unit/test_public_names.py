"""The public names are exactly ``__all__``: importable, documented, and nothing else."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
import types
from pathlib import Path

import pytest

import seawall

ROOT = Path(seawall.__file__).parent
MODULES = sorted(
    module.name for module in pkgutil.walk_packages([str(ROOT)], "seawall.") if module.name != "seawall.__main__"
)


def test_the_public_names_are_exactly_all():
    public = {
        name
        for name, value in vars(seawall).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert public | {"__version__"} == set(seawall.__all__)
    assert len(seawall.__all__) == len(set(seawall.__all__))


@pytest.mark.parametrize("name", sorted(seawall.__all__))
def test_every_public_name_can_be_imported_and_is_documented(name):
    value = getattr(seawall, name)
    if name == "__version__":
        assert value.count(".") == 2
        return
    assert inspect.getdoc(value), f"{name} has no docstring"


def test_every_option_is_documented_where_it_is_declared():
    for kind in (seawall.PolicyOptions, seawall.RouteOptions):
        (tree,) = ast.parse(inspect.getsource(kind)).body
        fields = [node for node in tree.body if isinstance(node, ast.AnnAssign)]
        for node, following in zip(fields, [tree.body[tree.body.index(field) + 1] for field in fields], strict=True):
            assert isinstance(following, ast.Expr), f"{kind.__name__}.{node.target.id} has no docstring"


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_offers(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported), f"{name}.__all__ names {exported!r}, which is not there"


def test_importing_seawall_does_no_more_than_it_must():
    """The heavy libraries come when something needs them: an import is part of every start."""
    heavy = ("pydantic", "uvicorn", "rich", "typer", "starlette.routing", "fastapi", "sqlalchemy", "structlog", "httpx")
    code = f"import sys, seawall; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
