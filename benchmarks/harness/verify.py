"""Proves, before anything is timed, that a contender gives the right answers and refuses bad input."""

import http.client
import json
from dataclasses import dataclass, field

from benchmarks.harness.contenders import HOST
from benchmarks.harness.servers import Server
from benchmarks.harness.workloads import Request, Workload

TIME_LIMIT = 10.0  # seconds per request


class WrongAnswerError(Exception):
    """A contender answers something else than the workload asks for; the message shows both."""


@dataclass(slots=True)
class Verdict:
    """What was seen: names of response headers, bytes of one answer, and the status of every probe."""

    headers: list[str]
    answer_bytes: int
    probes: dict[str, int] = field(default_factory=dict)


def verify(server: Server, workload: Workload) -> Verdict:
    """Send every request of a workload and every probe once.

    Raises:
        WrongAnswerError: An answer differs, or bad input was accepted or ended in a server error.
    """
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIME_LIMIT)
    try:
        headers: list[str] = []
        size = 0
        for request in workload.requests:
            status, headers, body = _send(connection, request)
            expected = workload.expected(request)
            if status != expected.status or _parsed(body) != expected.body:
                raise WrongAnswerError(
                    f"{request.method} {request.target}: "
                    f"expected {expected.status} {json.dumps(expected.body)}, "
                    f"got {status} {body[:500].decode(errors='replace')}"
                )
            size = len(body)
    finally:
        connection.close()
    verdict = Verdict(headers, size)
    for probe in workload.probes:
        verdict.probes[probe.name] = status = _probe(server, probe.request)
        if probe.required and not 400 <= status < 500:
            raise WrongAnswerError(f"bad input ({probe.name}) should be refused with 4xx, got {status}")
    return verdict


def _send(connection: http.client.HTTPConnection, request: Request) -> tuple[int, list[str], bytes]:
    connection.request(request.method, request.target, request.body, request.headers())
    response = connection.getresponse()
    return response.status, sorted(name.lower() for name, _ in response.getheaders()), response.read()


def _probe(server: Server, request: Request) -> int:
    """Return the status, over a connection of its own since a refusal may close it; 0 for no answer."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIME_LIMIT)
    try:
        return _send(connection, request)[0]
    except (ConnectionError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return None
