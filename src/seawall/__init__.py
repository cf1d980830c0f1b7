"""Seawall: production-grade APIs from typed async functions."""

from seawall.call import Call, Principal, TraceContext, current_call
from seawall.concurrency import fan_out
from seawall.group import Group, RouteOptions
from seawall.http.cookies import delete_cookie, set_cookie
from seawall.http.parameters import Body, Check, Cookie, Form, Header, Path, Query
from seawall.http.reply import Reply
from seawall.http.versions import Versions
from seawall.lifecycle import BackgroundTask, Backoff
from seawall.operation import Operation, Policy, PolicyOptions
from seawall.plan import Guard, Place
from seawall.problems import (
    BadRequest,
    ConfigurationError,
    Conflict,
    ContentTooLarge,
    DeadlineExceeded,
    DeclarationError,
    FieldError,
    Forbidden,
    Gone,
    HeadersTooLarge,
    InternalError,
    InvalidInput,
    MalformedBody,
    MalformedQuery,
    MethodNotAllowed,
    Misdirected,
    NotAcceptable,
    NotFound,
    PreconditionFailed,
    Problem,
    RequestTimeout,
    SeawallError,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    UriTooLong,
    pointer,
)
from seawall.service import Service

__version__ = "0.1.0"

__all__ = [
    "BackgroundTask",
    "Backoff",
    "BadRequest",
    "Body",
    "Call",
    "Check",
    "ConfigurationError",
    "Conflict",
    "ContentTooLarge",
    "Cookie",
    "DeadlineExceeded",
    "DeclarationError",
    "FieldError",
    "Forbidden",
    "Form",
    "Gone",
    "Group",
    "Guard",
    "Header",
    "HeadersTooLarge",
    "InternalError",
    "InvalidInput",
    "MalformedBody",
    "MalformedQuery",
    "MethodNotAllowed",
    "Misdirected",
    "NotAcceptable",
    "NotFound",
    "Operation",
    "Path",
    "Place",
    "Policy",
    "PolicyOptions",
    "PreconditionFailed",
    "Principal",
    "Problem",
    "Query",
    "Reply",
    "RequestTimeout",
    "RouteOptions",
    "SeawallError",
    "Service",
    "TooManyRequests",
    "TraceContext",
    "Unauthorized",
    "Unavailable",
    "UnsupportedMediaType",
    "UriTooLong",
    "Versions",
    "__version__",
    "current_call",
    "delete_cookie",
    "fan_out",
    "pointer",
    "set_cookie",
]
