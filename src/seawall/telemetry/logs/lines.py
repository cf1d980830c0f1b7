"""Encodes access lines, most of whose parts are those of a line before.

What belongs to an operation and a status, and what belongs to a client, is encoded once and kept; what is left are the
time, the id, the path and the duration: less work than one pass over all fields. The names of the
fields are those of OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from seawall.call import Call, Principal
from seawall.telemetry.logs.redaction import in_one_line, without_credentials
from seawall.telemetry.methods import METHODS, OTHER
from seawall.telemetry.traces.identity import identity

__all__ = ["FIELDS", "Form", "Forms", "Lines", "Values"]

_PLAIN = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._~+/=:-"
"""What needs no escape in JSON; request ids are made of nothing else, and hardly any path is."""
_AGENT_LENGTH = 256
_MOST_KEPT = 2048

_encode = msgspec.json.Encoder(enc_hook=str).encode


class Form:
    """What the lines of one plan and one method have in common.

    Args:
        operation: The operation's name.
        method: The method; empty where there is none.
        route: The template of the path; empty where there is none.
    """

    __slots__ = ("_by_status", "get", "method", "operation", "route")

    def __init__(self, operation: str, method: str, route: str) -> None:
        self.operation = operation
        self.method = method
        self.route = route
        self._by_status: dict[int, str] = {}
        self.get = self._by_status.get

    def new(self, status: int) -> str:
        """Return what stands between the time and the path in lines with *status*."""
        members = _members(
            {
                "level": "info" if status < 500 else "warning",
                "message": f"{self.method} {self.route or '(no route)'}" if self.method else self.operation,
                "logger": "seawall.access",
                "operation": self.operation,
                "http.request.method": self.method,
                "http.route": self.route,
                "http.response.status_code": status,
            }
        )
        found = f'",{members},"url.path":"'
        _keep(self._by_status, status, found)
        return found


class Forms:
    """The forms of a plan that takes several methods.

    Args:
        operation: The operation's name.
        route: The template of the path.
    """

    __slots__ = ("_known", "_operation", "_route", "get")

    def __init__(self, operation: str, route: str) -> None:
        self._operation = operation
        self._route = route
        self._known: dict[str, Form] = {}
        self.get = self._known.get

    def new(self, method: str) -> Form:
        """Return the form of *method*; those that are not HTTP's share one."""
        name = method if method in METHODS else OTHER
        form = self._known.get(name)
        if form is None:
            form = self._known[name] = Form(self._operation, name, self._route)
        return form


FIELDS = 9
"""Values that stand for one line, one after the other in one list: a tuple for each would be an object that the garbage
collector looks at, and so would the call be with all its header fields.

When the call ended (monotonic), how long it took, its status, its id, its form, its path, the address of the client,
its user agent; and the call itself if it has more to say (a problem, a trace), else its principal, if there is one.
"""
Values = list[Any]


class Lines:
    """Encodes the lines of one service."""

    def __init__(self) -> None:
        self._of_client: dict[tuple[str | None, bytes | None], str] = {}
        self._of_caller: dict[str, str] = {}
        # Most calls take less than a millisecond: what is written for them is looked up in half the time of a float.
        self._of_micros = [f'","duration":0.{micros:06d}' for micros in range(1000)]

    def encode(self, values: Values, offset: float) -> bytes:
        """Return the lines.

        Args:
            values: What they say, `FIELDS` for each, in the order in which calls ended.
            offset: What the wall clock is ahead of the monotonic one, in seconds.
        """
        return self._text(values, _ids(values[3::FIELDS]), _paths(values[5::FIELDS]), offset).encode()

    def _text(self, values: Values, ids: Sequence[str], paths: Sequence[str], offset: float) -> str:
        of_client, of_caller, of_micros = self._of_client, self._of_caller, self._of_micros
        stamp, until = "", 0.0
        pieces: list[str] = []
        add = pieces.extend
        one = iter(values)
        each = zip(*[one] * FIELDS, ids, paths, strict=True)
        for ended, took, status, _, form, _, peer, agent, rest, request_id, path in each:
            if ended >= until:
                moment = int((ended + offset) * 1000)
                stamp, until = f'{{"timestamp":"{_stamp(moment)}', (moment + 1) / 1000 - offset
            micros = int(took * 1e6)
            duration = of_micros[micros] if 0 <= micros < 1000 else f'","duration":{took:.6f}'
            client = of_client.get((peer[0] if peer else None, agent))
            if client is None:
                client = self._client(peer[0] if peer else None, agent)
            if rest is None:
                more = "}\n"
            elif isinstance(rest, Principal):
                more = of_caller.get(rest.subject) or self._caller(rest)
            else:
                more = _rest(rest)
            add(
                (
                    stamp,
                    form.get(status) or form.new(status),
                    path,
                    '","request_id":"',
                    request_id,
                    duration,
                    client,
                    more,
                )
            )
        return "".join(pieces)

    def _caller(self, principal: Principal) -> str:
        """Return how a line ends whose call has nothing to say but who called."""
        found = f",{_members({'user.id': principal.subject})}}}\n"
        _keep(self._of_caller, principal.subject, found)
        return found

    def _client(self, address: str | None, agent: bytes | None) -> str:
        shown = agent[:_AGENT_LENGTH].decode("latin-1") if agent else None
        members = _members({"client.address": address, "user_agent.original": shown and without_credentials(shown)})
        found = f",{members}" if members else ""
        if agent is None or len(agent) <= _AGENT_LENGTH:
            _keep(self._of_client, (address, agent), found)
        return found


def _ids(values: Sequence[bytes]) -> Sequence[str]:
    """Return request ids as they stand between quotation marks.

    They are looked at once for all lines: anything that would have to be escaped takes the careful way.
    """
    joined = b" ".join(values)
    if joined.translate(None, _PLAIN) == b" " * (len(values) - 1):
        return joined.decode().split(" ")
    return [_encode(each.decode("latin-1"))[1:-1].decode() for each in values]


def _paths(values: Sequence[str]) -> Sequence[str]:
    """Return paths as they stand between quotation marks, in the same way."""
    joined = " ".join(values)
    plain = joined.isascii() and "://" not in joined
    if plain and joined.encode().translate(None, _PLAIN) == b" " * (len(values) - 1):
        return values
    return [_path(each) for each in values]


def _path(path: str) -> str:
    try:
        shown = _encode(path if "://" not in path else without_credentials(path))
    except UnicodeEncodeError:  # half a surrogate pair: it was no Unicode
        return _path(path.encode("utf-8", "backslashreplace").decode())
    return in_one_line(shown[1:-1].decode())


def _keep(kept: dict[Any, str], key: Any, found: str) -> None:
    """Keep *found*; when there is no more room, begin anew."""
    if len(kept) >= _MOST_KEPT:
        kept.clear()
    kept[key] = found


def _members(fields: Mapping[str, Any]) -> str:
    """Return *fields* that say something as members of a JSON object, without its braces."""
    said = {name: value for name, value in fields.items() if value is not None and value != ""}
    return in_one_line(_encode(said)[1:-1].decode())


def _rest(call: Call) -> str:
    """Return what a call has to say beside what every one says."""
    trace_id, span_id = identity(call)
    members = _members(
        {
            "trace_id": trace_id,
            "span_id": span_id,
            "user.id": None if call.principal is None else call.principal.subject,
            "error.type": call.problem,
            "seawall.guard": call.guard,
            "seawall.ended": call.ended,
        }
    )
    return f",{members}}}\n" if members else "}\n"


def _stamp(moment: int) -> str:
    second, milli = divmod(moment, 1000)
    return f"{datetime.fromtimestamp(second, UTC):%Y-%m-%dT%H:%M:%S}.{milli:03d}Z"
