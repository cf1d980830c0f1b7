"""Guards, binding, call and encoding of one operation, compiled into one flat coroutine."""

from seawall.plan.code import CodeCache, Form, form_of
from seawall.plan.compiler import AppResource, Plan, Step, compile_plan
from seawall.plan.deadline import Deadline, Deadlines
from seawall.plan.ending import AnswerBroken, Disconnected
from seawall.plan.guards import (
    ArgumentGuard,
    Fragment,
    Guard,
    GuardSource,
    MethodGuard,
    RequestGuard,
    depends_on_method,
    looks_at_request,
    own_guards,
    takes_arguments,
)
from seawall.plan.places import Place
from seawall.plan.timeouts import TimeoutField
from seawall.plan.writer import Writer

__all__ = [
    "AnswerBroken",
    "AppResource",
    "ArgumentGuard",
    "CodeCache",
    "Deadline",
    "Deadlines",
    "Disconnected",
    "Form",
    "Fragment",
    "Guard",
    "GuardSource",
    "MethodGuard",
    "Place",
    "Plan",
    "RequestGuard",
    "Step",
    "TimeoutField",
    "Writer",
    "compile_plan",
    "depends_on_method",
    "form_of",
    "looks_at_request",
    "own_guards",
    "takes_arguments",
]
