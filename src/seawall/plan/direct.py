"""The ``direct`` carrier: typed arguments in, the result out; for transports that bring both."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from seawall.call import Call, current
from seawall.operation import Operation
from seawall.plan.places import Place
from seawall.plan.writer import Writer
from seawall.problems import DeadlineExceeded

__all__ = ["SIGNATURE", "DirectCall", "DirectReceive"]

SIGNATURE = "arguments"


class DirectReceive:
    """Makes a call of its own within the current one, if there is one."""

    name = "receive"
    place = Place.RECEIVE

    def __init__(self, operation: str, new_request_id: Callable[[], bytes], monotonic: Callable[[], float]) -> None:
        self._operation = operation
        self._new_request_id = new_request_id
        self._monotonic = monotonic

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the lines that enter the call and return its result."""
        begin = writer.bind("begin", self.begin)
        writer.sooner = "inherited"
        writer.lines(
            f"nested = {writer.bind('current_call', current.get)}(None) is not None",
            f"call = {begin}()",
            "sooner = call.deadline",
            f"token = {writer.bind('enter', current.set)}(call)",
        )
        with writer.block("try:"):
            inner()
        with writer.block("finally:"):
            writer.line(f"{writer.bind('leave', current.reset)}(token)")
        writer.line("return result")

    def begin(self) -> Call:
        """Return the call: the caller's identity and deadline go on, the operation is this one.

        Raises:
            DeadlineExceeded: The deadline has passed already, so nothing is begun.
        """
        outer = current.get(None)
        if outer is None:
            return Call(self._new_request_id(), self._operation)
        if outer.deadline is not None and outer.deadline <= self._monotonic():
            raise DeadlineExceeded("The caller's deadline passed before the operation had begun.")
        return Call(
            outer.id,
            self._operation,
            outer.metadata,
            outer.peer,
            deadline=outer.deadline,
            principal=outer.principal,
            outer=outer,
        )


class DirectCall:
    """The call of the operation with the arguments it was given and the resources it takes."""

    name = "operation"
    place = Place.OPERATION

    def __init__(self, operation: Operation, references: Callable[[Writer], Mapping[str, str]]) -> None:
        self._operation = operation
        self._references = references

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the call; a wrong argument name fails as for any function."""
        function = writer.bind("operation", self._operation.function)
        taken = "".join(f", {name}={reference}" for name, reference in self._references(writer).items())
        writer.line(f"result = await {function}(**arguments{taken})")
        inner()
