"""Proves, before anything is timed, that a contender gives the right answers and refuses bad input."""

import http.client
import json
import time
from dataclasses import dataclass, field

from benchmarks.harness.contenders import HOST
from benchmarks.harness.servers import Server
from benchmarks.harness.workloads import Request, Workload

TIME_LIMIT = 10.0  # seconds per request
LOG_LIMIT = 2.0  # seconds until a call must be in the log
MOST_REPEATS = 2_000  # calls after which a limit must have refused one


class WrongAnswerError(Exception):
    """A contender answers something else than the workload asks for; the message shows both."""


@dataclass(slots=True)
class Verdict:
    """What was seen: names of response headers, bytes of one answer, and the status of every probe."""

    headers: list[str]
    answer_bytes: int
    probes: dict[str, int] = field(default_factory=dict)


def verify(server: Server, workload: Workload) -> Verdict:
    """Send every request of a workload (or as many as it says) and every probe once.

    Raises:
        WrongAnswerError: An answer differs, or bad input was accepted or ended in a server error, or a contender
            with the production stack lacks a part of it.
    """
    guarded = server.contender.guarded
    requests = workload.requests[: workload.checked]
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIME_LIMIT)
    try:
        headers: list[str] = []
        size = 0
        for request in requests:
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
    if workload.logged and guarded:
        _observed(server, verdict, len(requests))
    for probe in workload.probes:
        if probe.guard and not guarded:
            continue
        verdict.probes[probe.name] = status = _probe(server, probe.request)
        if probe.required and not (400 <= status < 500 if probe.status is None else status == probe.status):
            wanted = probe.status or "4xx"
            raise WrongAnswerError(f"bad input ({probe.name}) should be refused with {wanted}, got {status}")
    if workload.limited is not None:
        _limited(server, workload.limited)
    return verdict


def _observed(server: Server, verdict: Verdict, calls: int) -> None:
    """Check that answers carry a request id, that each call is in the log with its user, and that calls are measured.

    Raises:
        WrongAnswerError: One of these is missing.
    """
    if "x-request-id" not in verdict.headers:
        raise WrongAnswerError(f"answers carry no request id, only {', '.join(verdict.headers)}")
    limit = time.monotonic() + LOG_LIMIT
    while (lines := sum(map(_access_line, server.said().splitlines()))) < calls:
        if time.monotonic() > limit:
            raise WrongAnswerError(f"{calls} calls, but {lines} access lines with request id and user")
        time.sleep(0.02)
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIME_LIMIT)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        said = response.read()
        if response.status != 200 or b"_bucket{" not in said:
            raise WrongAnswerError(f"/metrics has no histogram: {response.status} {said[:500]!r}")
    finally:
        connection.close()


def _access_line(line: str) -> bool:
    said = _parsed(line.encode())
    if not isinstance(said, dict) or not said.get("request_id"):
        return False
    return any(isinstance(value, str) and value.startswith(("user-", "greedy")) for value in said.values())


def _limited(server: Server, request: Request) -> None:
    """Repeat a request until it is refused.

    Raises:
        WrongAnswerError: It never is, or with another status than 429.
    """
    connection = http.client.HTTPConnection(HOST, server.port, timeout=TIME_LIMIT)
    try:
        for _ in range(MOST_REPEATS):
            status = _send(connection, request)[0]
            if status == 429:
                return
            if status != 200:
                raise WrongAnswerError(f"one call too many should be refused with 429, got {status}")
    finally:
        connection.close()
    raise WrongAnswerError(f"{MOST_REPEATS} calls of one user in a row, and none was refused")


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
