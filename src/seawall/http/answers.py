"""Problems and errors become answers, on every path out of a plan."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import msgspec

from seawall import problems
from seawall.call import Call, header_field
from seawall.plan import Disconnected, Place, Writer
from seawall.problems import InternalError, Problem

__all__ = ["PROBLEM_JSON", "Answer", "Failures", "problem_in"]

PROBLEM_JSON = b"application/problem+json"
_PATH = "/!$&'()*+,;=:@"  # what a path may hold besides letters and digits (RFC 3986 §3.3)
_UNQUOTED = re.compile(r"[A-Za-z0-9\-._~/!$&'()*+,;=:@]*").fullmatch
"""Whether `quote` would leave a path as it is."""
_KNOWN = 512
"""Beginnings of problem documents, and header fields of problems, that are kept: what varies among them is whose turn
comes when, and there are few of it."""
_FRAMING = frozenset({"connection", "content-length", "content-type", "transfer-encoding"})
CLIENT_GONE = 499
"""Never sent: marks a call whose client went away before it could be answered (nginx's number for it)."""

logger = logging.getLogger("seawall")
Translate = Callable[[Any], Problem]


class Failures:
    """Turns what an operation raises into an answer.

    Args:
        translations: Problems for exceptions that are none, by their class; the most derived class counts.
        traceback: Adds to the answer of an unexpected error what a developer wants to see; None in production.
    """

    def __init__(
        self,
        translations: Mapping[type[Exception], Translate] | None = None,
        traceback: Callable[[BaseException], list[str]] | None = None,
        page: Callable[[BaseException, str], bytes] | None = None,
    ) -> None:
        self._translations = dict(translations or {})
        self._traceback = traceback
        self._page = page
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._beginnings: dict[tuple[str, str, int, str | None], bytes] = {}

    def __call__(self, error: Exception, call: Call, path: str) -> tuple[int, bytes, bytes]:
        """Return status, content type and body for *error*; header fields go to *call*."""
        if isinstance(error, Disconnected):
            if type(error) is Disconnected:
                call.ended = "disconnect"
            return CLIENT_GONE, b"", b""
        fields = list(call.fields or ())
        try:
            problem = error if isinstance(error, Problem) else self._problem(error)
            return self._answer(problem, error, call, path)
        except Exception as failure:  # noqa: BLE001 - a translation, or a problem that cannot be sent
            failure.__context__ = error
            call.fields = fields
            return self._answer(None, failure, call, path)

    def _answer(self, problem: Problem | None, error: Exception, call: Call, path: str) -> tuple[int, bytes, bytes]:
        if problem is None:
            logger.error(
                "unhandled error in %s",
                call.operation or "the service",
                exc_info=error,
                extra={"request_id": call.request_id, "operation": call.operation, "path": path},
            )
            call.problem = InternalError.type
            if call.span is not None:
                call.span.record_exception(error)
            if self._page is not None and b"text/html" in call.metadata.get(b"accept", b""):
                return 500, b"text/html; charset=utf-8", self._page(error, path)
            problem = InternalError("Something went wrong on our side; the log has it under this request's id.")
            if self._traceback is not None:
                problem.extensions["traceback"] = self._traceback(error)
        if problem.headers:
            call.fields = [*(call.fields or ()), *(_header_field(*field) for field in problem.headers.items())]
        call.problem, call.guard = problem.type, problem.guard
        where = path if _UNQUOTED(path) else quote(path, safe=_PATH)
        if problem.extensions or problem.errors or type(problem).document is not Problem.document:
            return problem.status, PROBLEM_JSON, self._encode(problem.document(where, call.request_id))
        # Neither a quoted path nor an id of ours or one we accept has anything in it that JSON would escape.
        beginning = self._beginning(problem)
        return problem.status, PROBLEM_JSON, b'%b%b","request_id":"%b"}' % (beginning, where.encode(), call.id)

    def _beginning(self, problem: Problem) -> bytes:
        """Return what comes before the path in the document of *problem*, which has no members of its own."""
        key = problem.type, problem.title, problem.status, problem.detail
        found = self._beginnings.get(key)
        if found is None:
            if len(self._beginnings) >= _KNOWN:
                self._beginnings.clear()
            found = self._beginnings[key] = self._encode(problem.document(""))[: -len('"}')]
        return found

    def _problem(self, error: Exception) -> Problem | None:
        found = problem_in(error)
        if found is not None:
            return found
        for kind in type(error).__mro__:
            translate = self._translations.get(kind)
            if translate is not None:
                return translate(error)
        return _of_starlette(error)


_header_field = lru_cache(_KNOWN)(header_field)
_BY_STATUS = MappingProxyType(
    {
        kind.status: kind
        for kind in vars(problems).values()
        if isinstance(kind, type) and issubclass(kind, Problem) and Problem in kind.__bases__
    }
)


def _of_starlette(error: Exception) -> Problem | None:
    """Return the problem that Starlette's (and FastAPI's) HTTPException stands for; static files raise it."""
    module = sys.modules.get("starlette.exceptions")
    if module is None or not isinstance(error, module.HTTPException):
        return None
    raised: Any = error
    if raised.status_code < 400:
        return None
    headers = {name: value for name, value in (raised.headers or {}).items() if name.lower() not in _FRAMING}
    detail = raised.detail if isinstance(raised.detail, str) else None
    problem = _BY_STATUS.get(raised.status_code, Problem)(detail, headers=headers)
    if problem.status != raised.status_code:
        # No kind of its own: about:blank means no more than its status does (RFC 9457 §4.2.1).
        problem.status, problem.title = raised.status_code, detail or "Error"  # type: ignore[misc]
    return problem


def problem_in(error: BaseException) -> Problem | None:
    """Return *error* if it is a problem, or the first problem of a group that holds nothing else.

    Work done side by side in a task group ends in an exception group; when all its parts are answers
    to the caller, the first one is the answer.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, BaseExceptionGroup):
        parts = [problem_in(part) for part in error.exceptions if not isinstance(part, asyncio.CancelledError)]
        if parts and all(parts):
            return parts[0]
    return None


class Answer:
    """The fragment that turns whatever is raised further in into an answer."""

    name = "answer"
    place = Place.ANSWER
    note = "problems (RFC 9457)"

    def __init__(self, failures: Failures) -> None:
        self._failures = failures

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the ``try`` around everything further in."""
        failure = writer.bind("failure", self._failures)
        with writer.block("try:"):
            inner()
        with writer.block("except Exception as error:"):
            writer.line(f"status, content_type, body = {failure}(error, call, path)")
        # Whoever waits for the task must see its cancellation, unless it was for the client's sake alone.
        with writer.block(f"except {writer.bind('CancelledError', asyncio.CancelledError)}:"):
            with writer.block('if call.ended != "disconnect" or not call.settle():'):
                writer.line("raise")
            writer.lines(f"status = {CLIENT_GONE}", 'content_type = body = b""')
