from __future__ import annotations

import sys
from types import ModuleType

import pytest

from seawall.cli.report import CommandError
from seawall.cli.target import Target, load_service, parse_target
from seawall.problems import DeclarationError


class FakeService:
    pass


@pytest.fixture
def module(monkeypatch):
    made = ModuleType("fakeshop")
    monkeypatch.setitem(sys.modules, "fakeshop", made)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return made


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("shop", Target("shop", "service", factory=False)),
        ("shop:", Target("shop", "service", factory=False)),
        ("shop.web:api", Target("shop.web", "api", factory=False)),
        ("shop:create()", Target("shop", "create", factory=True)),
        ("shop:apis.first", Target("shop", "apis.first", factory=False)),
    ],
)
def test_reads_targets(text, target):
    assert parse_target(text) == target


def test_a_target_is_written_as_it_is_read():
    assert str(parse_target("shop:create()")) == "shop:create()"
    assert str(parse_target("shop")) == "shop:service"


@pytest.mark.parametrize("text", ["", ":service", "shop:a b", "shop..web", "1shop", "shop:create(1)", "class:service"])
def test_refuses_what_names_nothing(text):
    with pytest.raises(CommandError, match="does not name a service") as caught:
        parse_target(text)
    assert caught.value.usage


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("shop.py", "'shop:service'"),
        ("./shop.py:api", "'shop:api'"),
        ("src/shop/web.py:api", "'shop.web:api'"),
    ],
)
def test_a_path_is_told_the_module(text, meant):
    with pytest.raises(CommandError, match="is a path") as caught:
        parse_target(text)
    assert caught.value.hints == (f"Did you mean {meant}?",)


def test_loads_the_attribute_or_what_a_factory_makes(module):
    module.service = FakeService()
    module.create = lambda: module.service
    assert load_service("fakeshop", FakeService) is module.service
    assert load_service("fakeshop:create()", FakeService) is module.service


def test_a_missing_attribute_names_the_services_there(module):
    module.servise = FakeService()
    module.other = FakeService()
    with pytest.raises(CommandError, match="has no 'service'") as caught:
        load_service("fakeshop", FakeService)
    assert caught.value.hints == (
        "Services in it: fakeshop:servise, fakeshop:other",
        "Did you mean 'fakeshop:servise'?",
    )
    assert caught.value.usage


def test_a_missing_attribute_names_the_factory(module):
    def create() -> FakeService:
        return FakeService()

    module.create = create
    with pytest.raises(CommandError) as caught:
        load_service("fakeshop", FakeService)
    assert caught.value.hints == ("Did you mean 'fakeshop:create()'?",)


def test_a_module_without_services_says_what_it_has(module):
    module.helper = 1
    with pytest.raises(CommandError) as caught:
        load_service("fakeshop", FakeService)
    assert caught.value.hints[0] == "There is no service in it; it has helper."


def test_a_factory_without_parentheses_is_told_to_have_them(module):
    def create() -> FakeService:
        return FakeService()

    module.create = create
    with pytest.raises(CommandError, match=r"write '\(\)' behind it: 'fakeshop:create\(\)'"):
        load_service("fakeshop:create", FakeService)


def test_an_application_of_another_framework_is_told_how_to_be_mounted(module):
    from starlette.applications import Starlette

    module.app = Starlette()
    with pytest.raises(CommandError, match=r"fakeshop:app is a Starlette of starlette\.applications") as caught:
        load_service("fakeshop:app", FakeService)
    assert "service.mount('/', app)" in caught.value.hints[0]


def test_parentheses_behind_no_function_are_refused(module):
    module.service = FakeService()
    with pytest.raises(CommandError, match="is no function"):
        load_service("fakeshop:service()", FakeService)


def test_what_a_factory_raises_is_kept_as_the_cause(module):
    def create():
        raise ValueError("no database")

    module.create = create
    with pytest.raises(CommandError, match="failed: ValueError: no database") as caught:
        load_service("fakeshop:create()", FakeService)
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_declaration_error_is_passed_on_as_it_is(module):
    def create():
        raise DeclarationError("operation 'a': say what it returns.")

    module.create = create
    with pytest.raises(DeclarationError, match="say what it returns"):
        load_service("fakeshop:create()", FakeService)
