"""What a target answered, and what becomes of its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from seawall.client.problems import RemoteProblem, RemoteUnavailable, UnexpectedAnswer, field_errors
from seawall.problems import DeclarationError, Problem

__all__ = ["Answer", "Kinds", "error_of", "kinds_of"]

T = TypeVar("T")
Kinds = Mapping[str, type[Problem]]
_MEMBERS = frozenset({"type", "title", "status", "detail", "instance", "request_id", "errors", "headers", "self"})
_LARGEST_DOCUMENT = 64 * 1024


class Answer(msgspec.Struct, frozen=True, eq=False):
    """One whole answer.

    Args:
        status: Its status.
        headers: Its header fields; names in any case find them.
        body: Its body, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decode(self, kind: type[T]) -> T:
        """Return the body, JSON, as a value of *kind*.

        Raises:
            UnexpectedAnswer: It is none.
        """
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.MsgspecError as error:
            raise UnexpectedAnswer("the target", f"its answer is no {kind.__name__}: {error}") from error


def kinds_of(raises: Sequence[type[Problem]], where: str) -> Kinds:
    """Return the kinds of problems that are raised as themselves, by their type.

    Raises:
        DeclarationError: One is no `Problem`, has no type of its own, or has that of another one.
    """
    kinds: dict[str, type[Problem]] = {}
    for kind in raises:
        if not issubclass(kind, Problem):
            raise DeclarationError(f"{where}: raises={kind!r} is no kind of Problem.")
        if kind.type == "about:blank" or kind.type in kinds:
            raise DeclarationError(f"{where}: {kind.__name__} needs a problem type of its own, not {kind.type!r}.")
        kinds[kind.type] = kind
    return kinds


def error_of(target: str, answer: Answer, kinds: Kinds) -> Problem:
    """Return what *answer*, an error, is raised as.

    Args:
        target: The client's name.
        answer: An answer with a status of 400 or more.
        kinds: The problems that are raised as themselves: what was declared, with the detail, errors and further
            members of the answer.
    """
    document = _document(answer)
    known = kinds.get(str(document.get("type")))
    if known is None:
        kind = RemoteUnavailable if answer.status in {429, 503} else RemoteProblem
        return kind(target, answer.status, document, answer.headers)
    problem = known.__new__(known)
    detail = document.get("detail")
    extensions = {name: value for name, value in document.items() if name not in _MEMBERS and name.isidentifier()}
    headers = {name: answer.headers[name] for name in ("retry-after", "seawall-retried") if name in answer.headers}
    # Past the kind's own constructor, which may take something else than what has come over the wire.
    Problem.__init__(
        problem,
        detail if isinstance(detail, str) else None,
        errors=field_errors(document.get("errors")),
        headers=headers,
        **extensions,
    )
    return problem


def _document(answer: Answer) -> dict[str, Any]:
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in {"application/problem+json", "application/json"} or len(answer.body) > _LARGEST_DOCUMENT:
        return {}
    try:
        document = msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
