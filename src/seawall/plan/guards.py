"""Guards: the steps in front of an operation, and how a user adds one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from seawall.call import Call
from seawall.operation import Operation, Policy
from seawall.plan.places import Place
from seawall.problems import DeclarationError, Problem

if TYPE_CHECKING:
    from typing_extensions import TypeIs  # Python 3.13's, which type checkers know for all

    from seawall.plan.writer import Writer

__all__ = [
    "ArgumentGuard",
    "Fragment",
    "Guard",
    "GuardSource",
    "MethodGuard",
    "RequestGuard",
    "depends_on_method",
    "looks_at_request",
    "own_guards",
    "takes_arguments",
]


@runtime_checkable
class Fragment(Protocol):
    """A part of a plan: it writes its lines around those of everything further in."""

    @property
    def name(self) -> str:
        """What it is called where plans are shown."""
        ...

    @property
    def place(self) -> Place:
        """Where in the order it stands."""
        ...

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write this fragment's lines, calling *inner* once where everything further in belongs.

        The generated code finds the local variable ``call`` (the `Call`). What the lines refer to is
        bound with `Writer.bind`; locals of a fragment's own begin with its name.
        """


class ArgumentGuard(Protocol):
    """A fragment that looks at an operation's arguments; whoever composes the plan tells it where they are."""

    def taken(self, operation: Operation, resources: frozenset[Any]) -> Mapping[str, tuple[str, Any]]:
        """Return what it takes: name → (``principal``, ``call``, ``resource`` or ``argument``, its type)."""
        ...

    def with_arguments(self, expressions: Callable[[Writer], Mapping[str, str]]) -> Fragment:
        """Return the fragment for a plan in which *expressions* stand for what it takes."""
        ...


class MethodGuard(Protocol):
    """A fragment that needs to know whether a call may change something, which the transport's method says."""

    def on(self, unsafe: str) -> Fragment:
        """Return the fragment for a plan in which the expression *unsafe* says so."""
        ...


class RequestGuard(Protocol):
    """A fragment that looks at the whole request; the transport tells it how the body is read."""

    def on_request(self, read_body: Callable[[Writer], None], failure: Callable[..., Any]) -> Fragment:
        """Return the fragment for a plan in which *read_body* writes the lines that leave the body in ``raw_body``.

        Args:
            read_body: As above; what is further in finds the body read.
            failure: Returns status, content type and body for an error: ``failure(error, call, path)``.
        """
        ...


def takes_arguments(fragment: object) -> TypeIs[ArgumentGuard]:
    """Return whether *fragment* looks at arguments; ``isinstance`` of a protocol takes twenty times as long."""
    return hasattr(fragment, "with_arguments")


def depends_on_method(fragment: object) -> TypeIs[MethodGuard]:
    """Return whether *fragment* needs to know whether a call may change something."""
    return hasattr(fragment, "on")


def looks_at_request(fragment: object) -> TypeIs[RequestGuard]:
    """Return whether *fragment* looks at the whole request."""
    return hasattr(fragment, "on_request")


class Guard:
    """A guard of the user's own: subclass it, override `check`, and put an instance in ``guards=[…]``.

    ::

        class BusinessHours(Guard):
            name = "business-hours"
            place = Place.AUTHORISE
            problems = (Unavailable,)

            async def check(self, call: Call) -> None:
                if not self.open():
                    raise Unavailable("The shop is closed.", headers={"Retry-After": "3600"})

    A guard that takes something for the time of the call overrides `release` as well: it runs once the
    call is over, however it ended, if and only if `check` returned.
    """

    name: str = ""
    """Unique among the guards of an operation; one of the same name further in replaces this one."""
    place: Place = Place.AUTHORISE
    """Where in the order it stands."""
    problems: ClassVar[tuple[type[Problem], ...]] = ()
    """What it may answer, for the API document."""
    security: ClassVar[Mapping[str, Any] | None] = None
    """The OpenAPI Security Scheme it checks, if it authenticates."""

    def __init_subclass__(cls) -> None:
        """Refuse a guard that could not be placed.

        Raises:
            DeclarationError: The class has no name, or a place no guard can have.
        """
        super().__init_subclass__()
        if not cls.name:
            raise DeclarationError(f"guard {cls.__qualname__}: give it a name, as in name = 'business-hours'.")
        if not Place.ARRIVE <= cls.place <= Place.BULKHEAD or cls.place is Place.BIND:
            raise DeclarationError(
                f"guard {cls.__qualname__}: place {cls.place.name} is not for guards; use one from ARRIVE to BULKHEAD."
            )

    async def check(self, call: Call) -> None:
        """Return to let the call go on, or raise a `Problem` to answer it here."""

    async def release(self, call: Call, error: BaseException | None) -> None:
        """Give back what `check` took; *error* is what ended the call, or None."""

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines of this guard; only a guard with a `release` costs a ``try``."""
        check = writer.bind(f"check_{self.name}", self.check)
        with writer.block("try:"):
            writer.line(f"await {check}(call)")
        with writer.block(f"except {writer.bind('Problem', Problem)} as problem:"):
            writer.lines(f"problem.guard = problem.guard or {writer.bind('guard_name', self.name)}", "raise")
        if type(self).release is Guard.release:
            inner()
            return
        release = writer.bind(f"release_{self.name}", self.release)
        with writer.block("try:"):
            inner()
        with writer.block("except BaseException as error:"):
            writer.lines(f"await {release}(call, error)", "raise")
        with writer.block("else:"):
            writer.line(f"await {release}(call, None)")


GuardSource = Callable[[Policy], Iterable[Fragment]]
"""What a capability contributes to every plan: the fragments a policy asks for, none for one that does not.

The composition root lists the sources; the compiler sorts what they give by place. A new capability brings a new
source, and neither the compiler nor a carrier changes.
"""


def own_guards(policy: Policy) -> Iterable[Fragment]:
    """Return the guards of the user's own: the first of the sources."""
    return policy.guards
