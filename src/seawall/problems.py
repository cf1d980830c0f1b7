"""Every error a caller can see, in one tree.

::

    SeawallError
    ├── ConfigurationError            start-up stops; the message names the fix
    │   └── DeclarationError          an operation, resource or guard that cannot work
    └── Problem                       an answer with a status (RFC 9457)
        ├── BadRequest            400
        │   ├── MalformedBody     400  not JSON, not UTF-8, too deep
        │   └── MalformedQuery    400  a query or form that cannot be decoded
        ├── Unauthorized          401
        ├── Forbidden             403
        ├── NotFound              404
        ├── MethodNotAllowed      405  carries Allow
        ├── NotAcceptable         406
        ├── RequestTimeout        408  the body did not arrive in time
        ├── Conflict              409
        ├── Gone                  410
        ├── PreconditionFailed    412
        ├── ContentTooLarge       413
        ├── UriTooLong            414
        ├── UnsupportedMediaType  415
        ├── Misdirected           421
        ├── InvalidInput          422  carries errors, each with its place
        ├── PreconditionRequired  428  the change must say what it is about
        ├── TooManyRequests       429
        ├── HeadersTooLarge       431
        ├── InternalError         500  says nothing of what went wrong inside
        ├── Unavailable           503
        │   └── Overloaded        503  there is too much to do; carries Retry-After
        ├── NotKept               504  only a kept answer was asked for, and there is none
        └── DeadlineExceeded      504

A service adds its own by subclassing the one whose status fits::

    class OutOfStock(Conflict):
        type = "urn:problem-type:storefront:out-of-stock"
        title = "Out of stock"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

__all__ = [
    "BadRequest",
    "ConfigurationError",
    "Conflict",
    "ContentTooLarge",
    "DeadlineExceeded",
    "DeclarationError",
    "FieldError",
    "Forbidden",
    "Gone",
    "HeadersTooLarge",
    "InternalError",
    "InvalidInput",
    "MalformedBody",
    "MalformedQuery",
    "MethodNotAllowed",
    "Misdirected",
    "NotAcceptable",
    "NotFound",
    "NotKept",
    "Overloaded",
    "PreconditionFailed",
    "PreconditionRequired",
    "Problem",
    "RequestTimeout",
    "SeawallError",
    "TooManyRequests",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "pointer",
]


class SeawallError(Exception):
    """The root of every exception Seawall raises on purpose."""


class ConfigurationError(SeawallError):
    """The service cannot start as configured; the message names what, its value and the fix."""


class DeclarationError(ConfigurationError):
    """An operation, resource or guard was declared in a way that cannot work."""


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with the input, and where.

    Exactly one of *pointer* and *parameter* says where: *pointer* is a JSON Pointer (RFC 6901) into
    the body (``""`` is the whole body), *parameter* the name of a path, query, header, cookie or form
    parameter, whose kind stands in *location*.
    """

    detail: str
    pointer: str | None = None
    parameter: str | None = None
    location: str | None = None


class Problem(SeawallError):
    """An answer other than success: RFC 9457 "Problem Details for HTTP APIs".

    Args:
        detail: What happened this time, for a person; never a secret.
        errors: Everything that is wrong, each with its place.
        headers: Further header fields of the answer.
        extensions: Further members of the problem document, encodable as JSON.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "about:blank"
    title: ClassVar[str] = "Problem"
    guard: str = ""
    """The guard that refused the call, if one did; for metrics and logs, never told to the caller."""

    def __init__(
        self,
        detail: str | None = None,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        SeawallError.__init__(self, detail or self.title)
        self.detail = detail
        self.errors = tuple(errors) if errors else ()
        self.headers: Mapping[str, str] = headers or {}
        self.extensions = extensions

    def document(self, instance: str | None = None, request_id: str | None = None) -> dict[str, Any]:
        """Return the members of the problem document, ready to be encoded."""
        document: dict[str, Any] = {"type": self.type, "title": self.title, "status": self.status}
        if self.detail:
            document["detail"] = self.detail
        if instance is not None:
            document["instance"] = instance
        if request_id is not None:
            document["request_id"] = request_id
        if self.errors:
            document["errors"] = self.errors
        for name, value in self.extensions.items():
            document.setdefault(name, value)
        return document


class BadRequest(Problem):
    """400: the request cannot be understood."""

    status = 400
    type = "urn:problem-type:seawall:bad-request"
    title = "Bad request"


class MalformedBody(BadRequest):
    """400: the body is not what its media type says (not JSON, not UTF-8, nested too deep)."""

    type = "urn:problem-type:seawall:malformed-body"
    title = "Malformed body"


class MalformedQuery(BadRequest):
    """400: the query or form cannot be decoded."""

    type = "urn:problem-type:seawall:malformed-query"
    title = "Malformed query"


class Unauthorized(Problem):
    """401: who calls is not known; ``WWW-Authenticate`` says how to tell."""

    status = 401
    type = "urn:problem-type:seawall:unauthorized"
    title = "Authentication required"


class Forbidden(Problem):
    """403: the caller is known and may not do this."""

    status = 403
    type = "urn:problem-type:seawall:forbidden"
    title = "Forbidden"


class NotFound(Problem):
    """404: there is nothing here."""

    status = 404
    type = "urn:problem-type:seawall:not-found"
    title = "Not found"


class MethodNotAllowed(Problem):
    """405: the resource exists and does not take this method; ``Allow`` lists those it takes."""

    status = 405
    type = "urn:problem-type:seawall:method-not-allowed"
    title = "Method not allowed"


class NotAcceptable(Problem):
    """406: none of the media types in ``Accept`` can be produced."""

    status = 406
    type = "urn:problem-type:seawall:not-acceptable"
    title = "Not acceptable"


class RequestTimeout(Problem):
    """408: the request did not arrive in the time the service waits for it."""

    status = 408
    type = "urn:problem-type:seawall:request-timeout"
    title = "Request timeout"


class Conflict(Problem):
    """409: the request contradicts the present state."""

    status = 409
    type = "urn:problem-type:seawall:conflict"
    title = "Conflict"


class Gone(Problem):
    """410: it was here and will not come back."""

    status = 410
    type = "urn:problem-type:seawall:gone"
    title = "Gone"


class PreconditionFailed(Problem):
    """412: a condition of the request (``If-Match`` and its kin) does not hold."""

    status = 412
    type = "urn:problem-type:seawall:precondition-failed"
    title = "Precondition failed"


class ContentTooLarge(Problem):
    """413: the body is larger than the operation accepts."""

    status = 413
    type = "urn:problem-type:seawall:content-too-large"
    title = "Content too large"


class UriTooLong(Problem):
    """414: the path or query is longer than the service accepts."""

    status = 414
    type = "urn:problem-type:seawall:uri-too-long"
    title = "URI too long"


class UnsupportedMediaType(Problem):
    """415: the body's media type or coding is not one the operation reads."""

    status = 415
    type = "urn:problem-type:seawall:unsupported-media-type"
    title = "Unsupported media type"


class Misdirected(Problem):
    """421: the request names a host this service does not answer for."""

    status = 421
    type = "urn:problem-type:seawall:misdirected-request"
    title = "Misdirected request"


class InvalidInput(Problem):
    """422: the input was understood and is wrong; ``errors`` says what and where."""

    status = 422
    type = "urn:problem-type:seawall:invalid-input"
    title = "Invalid input"


class PreconditionRequired(Problem):
    """428: the change must say in ``If-Match`` which version it is about."""

    status = 428
    type = "urn:problem-type:seawall:precondition-required"
    title = "Precondition required"


class TooManyRequests(Problem):
    """429: the caller has used up its allowance; ``Retry-After`` says when to come back."""

    status = 429
    type = "urn:problem-type:seawall:too-many-requests"
    title = "Too many requests"


class HeadersTooLarge(Problem):
    """431: too many header fields, or too large."""

    status = 431
    type = "urn:problem-type:seawall:headers-too-large"
    title = "Request header fields too large"


class InternalError(Problem):
    """500: the service failed; the log knows why, the caller does not."""

    status = 500
    type = "urn:problem-type:seawall:internal-error"
    title = "Internal error"


class Unavailable(Problem):
    """503: the service cannot answer now; ``Retry-After`` says when to try again."""

    status = 503
    type = "urn:problem-type:seawall:unavailable"
    title = "Service unavailable"


class Overloaded(Unavailable):
    """503: there is too much to do at the moment; ``Retry-After`` says when to try again."""

    type = "urn:problem-type:seawall:overloaded"
    title = "Overloaded"


class NotKept(Problem):
    """504: the caller wants a kept answer only, and there is none."""

    status = 504
    type = "urn:problem-type:seawall:not-kept"
    title = "Not kept"


class DeadlineExceeded(Problem):
    """504: the call's deadline passed before it was answered."""

    status = 504
    type = "urn:problem-type:seawall:deadline-exceeded"
    title = "Deadline exceeded"


def pointer(*parts: str | int) -> str:
    """Return the JSON Pointer (RFC 6901) that leads through *parts*: ``("lines", 0)`` → ``/lines/0``."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
