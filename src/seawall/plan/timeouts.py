"""The header field by which a caller says how long it will wait, and by which it is told to others.

Two forms are in use. gRPC's: a number of at most eight digits and a unit, ``250m`` for 250 milliseconds ("gRPC over
HTTP/2", section Requests; grpc-web, Armeria and ASP.NET know the field from plain HTTP too). And Envoy's: whole
milliseconds, in a field whose name ends in ``-ms`` (``x-envoy-expected-rq-timeout-ms``). Both are durations, not
moments, so that no two clocks need to agree.
"""

from __future__ import annotations

import re

from seawall.problems import BadRequest

__all__ = ["TimeoutField"]

_GRPC = re.compile(rb"([0-9]{1,8})([HMSmun])")
_MILLISECONDS = re.compile(rb"[0-9]{1,12}")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MOST = 99_999_999


class TimeoutField:
    """One header field that says how long a caller will wait.

    Args:
        name: Its name; one that ends in ``-ms`` holds milliseconds, any other has gRPC's form.
    """

    __slots__ = ("_has_milliseconds", "name")

    def __init__(self, name: str) -> None:
        self.name = name.lower()
        self._has_milliseconds = self.name.endswith("-ms")

    def seconds(self, value: bytes) -> float:
        """Return the seconds that *value* says.

        Raises:
            BadRequest: It has not the field's form. To ignore it would let a caller believe in a deadline that
                nobody keeps.
        """
        if self._has_milliseconds:
            if _MILLISECONDS.fullmatch(value):
                return int(value) / 1000
            form = "whole milliseconds, such as 250"
        else:
            match = _GRPC.fullmatch(value)
            if match is not None:
                return int(match[1]) * _UNITS[match[2]]
            form = "at most eight digits and a unit (H, M, S, m, u, n), such as 250m for 250 milliseconds"
        problem = BadRequest(f"The header field {self.name} must be {form}.")
        problem.guard = "deadline"
        raise problem

    def text(self, seconds: float) -> str:
        """Return the value that says *seconds*, rounded down to a millisecond: who is asked never has more."""
        milliseconds = max(0, int(seconds * 1000))
        if self._has_milliseconds:
            return str(milliseconds)
        return f"{milliseconds}m" if milliseconds <= _MOST else f"{min(milliseconds // 1000, _MOST)}S"
