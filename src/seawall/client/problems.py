"""What calls to others raise.

::

    Problem
    ├── RemoteProblem          502  the target answered with an error; `answer_status` and its kin say which
    │   └── RemoteUnavailable  503  … with 429 or 503; carries Retry-After
    ├── UnexpectedAnswer       502  the target answered, and not with what was agreed
    │   └── AnswerTooLarge     502
    ├── ConnectionLost         502  the call was sent, and no whole answer came; it may have had an effect
    ├── ConnectFailed          503  the call was not sent
    └── DestinationRefused     400  a URL that was given leads where this service must not go

An operation that does nothing about one answers with its status, which is about the operation, not the target's: a
target's 404 is no 404 of ours. What the target said stays in the exception and in logs. A kind of problem that is
declared (``raises=``) is raised as itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seawall.problems import BadRequest, FieldError, Problem, Unavailable

__all__ = [
    "AnswerTooLarge",
    "BadGateway",
    "ConnectFailed",
    "ConnectionLost",
    "DestinationRefused",
    "RemoteProblem",
    "RemoteUnavailable",
    "UnexpectedAnswer",
]

# The target says that the time is wrong, not the request.
_OVERLOADED = frozenset({408, 425, 429})
_PASSED_ON = ("retry-after", "seawall-retried")


class BadGateway(Problem):
    """502: what this service depends on did not do its part."""

    status = 502
    type = "urn:problem-type:seawall:bad-gateway"
    title = "Bad gateway"

    def __init__(self, target: str, reason: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(headers=headers)
        self.args = (f"{target}: {reason}",)
        self.target = target


class RemoteProblem(BadGateway):
    """502: the target answered with an error.

    Args:
        target: The client's name.
        status: The status of the target's answer.
        document: The members of its problem document (RFC 9457); empty where it sent none.
        fields: The header fields of its answer.
    """

    type = "urn:problem-type:seawall:remote-problem"
    title = "A service this one depends on answered with an error"

    def __init__(self, target: str, status: int, document: Mapping[str, Any], fields: Mapping[str, str]) -> None:
        kind, detail = _text(document.get("type")) or "about:blank", _text(document.get("detail"))
        passed = {name: fields[name] for name in _PASSED_ON if name in fields}
        said = ": ".join(part for part in (_text(document.get("title")), detail) if part)
        super().__init__(target, f"answered {status} {kind}{f' ({said})' if said else ''}", headers=passed)
        self.answer_status = status
        """The status of the target's answer."""
        self.answer_type = kind
        """Its problem type; ``about:blank`` where it names none."""
        self.answer_detail = detail
        """What happened, in the target's words."""
        self.answer_errors: Sequence[FieldError] = field_errors(document.get("errors"))
        """What was wrong with the request, in the target's words."""
        self.answer_document = document
        """The whole problem document."""
        self.answer_fields = fields
        """The header fields of the answer."""

    @property
    def blames_request(self) -> bool:
        """Whether the target found fault with the request, and is well itself."""
        return self.answer_status < 500 and self.answer_status not in _OVERLOADED


class RemoteUnavailable(RemoteProblem):
    """503: the target cannot answer now (429 or 503)."""

    status = 503
    type = "urn:problem-type:seawall:remote-unavailable"
    title = "A service this one depends on is not available now"


class UnexpectedAnswer(BadGateway):
    """502: the target answered, and not with what was agreed."""

    type = "urn:problem-type:seawall:unexpected-answer"
    title = "A service this one depends on answered with something else than agreed"


class AnswerTooLarge(UnexpectedAnswer):
    """502: the answer is larger than ``client.max_response``."""

    type = "urn:problem-type:seawall:answer-too-large"
    title = "A service this one depends on answered with too much"


class ConnectionLost(BadGateway):
    """502: the call was sent, and no whole answer came; it may have had an effect."""

    type = "urn:problem-type:seawall:connection-lost"
    title = "The connection to a service this one depends on was lost"


class ConnectFailed(Unavailable):
    """503: there was no connection to the target; the call had no effect."""

    type = "urn:problem-type:seawall:connect-failed"
    title = "A service this one depends on cannot be reached"
    unsent = True
    """The call was not sent: whatever it would have done, it may be made again."""

    def __init__(self, target: str, reason: str) -> None:
        super().__init__()
        self.args = (f"{target}: {reason}",)
        self.target = target


class DestinationRefused(BadRequest):
    """400: a URL that was given leads where this service must not go.

    What the caller is told does not say why: that would tell what there is inside (`str` of it does, for logs).
    """

    type = "urn:problem-type:seawall:destination-refused"
    title = "The URL leads nowhere this service may go"

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.args = (reason,)


def field_errors(value: object) -> tuple[FieldError, ...]:
    """Return the errors a problem document lists, as far as they can be understood."""
    if not isinstance(value, list):
        return ()
    found = []
    for entry in value[:100]:
        if isinstance(entry, dict) and isinstance(entry.get("detail"), str):
            names = ("detail", "pointer", "parameter", "location")
            found.append(FieldError(**{name: entry[name] for name in names if isinstance(entry.get(name), str)}))
    return tuple(found)


def _text(value: object) -> str | None:
    return value[:500] if isinstance(value, str) else None
