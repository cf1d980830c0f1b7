"""Interfaces and clients that cannot work are refused where they are written."""

from __future__ import annotations

from typing import Annotated, Any, Protocol

import msgspec
import pytest

from seawall.call import Call, enter, leave
from seawall.client import Bearer, Body, Client, ClientCredentials, Tls, get, post, remaining_time
from seawall.problems import ConfigurationError, DeadlineExceeded, DeclarationError, Problem
from seawall.testing import ManualClock


class Thing(msgspec.Struct):
    id: int


class Blank(Problem):
    pass


class TwoBodies(Protocol):
    @post("/a")
    async def a(self, one: Thing, two: Thing) -> None: ...


class BodyOfGet(Protocol):
    @get("/a")
    async def a(self, one: Thing) -> None: ...


class Untyped(Protocol):
    @get("/a")
    async def a(self, one) -> None: ...


class Nothing(Protocol):
    @get("/a")
    async def a(self): ...


class Missing(Protocol):
    @get("/a/{b}")
    async def a(self) -> None: ...


class ListInPath(Protocol):
    @get("/a/{b}")
    async def a(self, b: list[int]) -> None: ...


class Star(Protocol):
    @get("/a")
    async def a(self, *b: int) -> None: ...


class Unknown(Protocol):
    @get("/a")
    async def a(self, b: "Nobody") -> None: ...  # noqa: F821, UP037


class WithoutType(Protocol):
    @get("/a", raises=[Blank])
    async def a(self) -> None: ...


class Empty(Protocol):
    async def a(self) -> None: ...


@pytest.mark.parametrize(
    "kind", [TwoBodies, BodyOfGet, Untyped, Nothing, Missing, ListInPath, Star, Unknown, WithoutType, Empty]
)
def test_interfaces_that_cannot_work(kind: Any) -> None:
    with pytest.raises(DeclarationError, match=kind.__name__):
        Client("x", "http://a.test").bind(kind)


@pytest.mark.parametrize("path", ["a", "", "/a b", "/a?b=1", "/{}", "/{a-b}", "/a%2", "/a\r\nx: y"])
def test_paths_that_are_none(path: str) -> None:
    with pytest.raises(DeclarationError):
        get(path)


def test_calls_must_be_async() -> None:
    with pytest.raises(DeclarationError, match="async"):
        get("/a")(lambda self: None)  # type: ignore[type-var]


@pytest.mark.parametrize(
    "url", ["", "a.test", "ftp://a.test", "http://", "http://u:p@a.test", "http://a.test?x=1", "http://a b"]
)
def test_urls_of_targets(url: str) -> None:
    with pytest.raises(DeclarationError):
        Client("x", url)


@pytest.mark.anyio
@pytest.mark.parametrize("path", ["a", "/a b", "/a\r\nHost: b", "/ä", "http://other.test/"])
async def test_paths_are_encoded_by_whoever_calls(path: str) -> None:
    with pytest.raises(DeclarationError):
        await Client("x", "http://a.test").request("GET", path)


def test_secrets_and_files() -> None:
    for token in ("", "a b", "a\n", "ä"):
        with pytest.raises(DeclarationError):
            Bearer(token)
    with pytest.raises(DeclarationError):
        ClientCredentials("a.test", "id", "secret")
    with pytest.raises(DeclarationError):
        Tls(key="key.pem")
    with pytest.raises(ConfigurationError, match=r"none\.pem"):
        Tls(ca="none.pem").context()
    assert "secret" not in repr(Bearer("secret"))


def test_a_generated_method_looks_like_its_declaration() -> None:
    class Things(Protocol):
        @post("/things/{kind}")
        async def make(self, kind: str, numbers: Annotated[list[int], Body()], *, loud: bool = False) -> Thing:
            """Make one."""
            ...

    made = Client("x", "http://a.test").bind(Things)
    assert made.make.__doc__ == "Make one."
    with pytest.raises(TypeError, match="numbers"):
        made.make("a")  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("left", "text"),
    [(0.3, "300m"), (0.3009, "300m"), (99_999.999, "99999999m"), (100_000, "100000S"), (1e9, "16666666M")],
)
def test_the_time_that_is_left_in_grpc_s_form(left: float, text: str) -> None:
    clock = ManualClock()
    call = Call(b"1", "op", deadline=clock.monotonic() + left)
    token = enter(call)
    try:
        assert abs(int(remaining_time(clock)()["Grpc-Timeout"][:-1]) - int(text[:-1])) <= 1
        assert remaining_time(clock)()["Grpc-Timeout"][-1] == text[-1]
        call.deadline = clock.monotonic() + 0.0005
        with pytest.raises(DeadlineExceeded):
            remaining_time(clock)()
    finally:
        leave(token)
    assert remaining_time(clock)() == {}
