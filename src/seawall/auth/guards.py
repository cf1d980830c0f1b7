"""The guards that identity puts into plans: who calls, whether they may, and why not."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_type_hints

from seawall.auth.problems import InsufficientScope, InvalidCredentials
from seawall.auth.scheme import Attached, Refused, Scheme
from seawall.call import Call, Principal
from seawall.operation import Operation, Policy, bare
from seawall.plan import Fragment, Place, Writer
from seawall.problems import ConfigurationError, DeclarationError, Forbidden, Problem, Unauthorized

__all__ = ["Authenticate", "Authentication", "Authorise", "Permit", "admit"]

logger = logging.getLogger("seawall.auth")


class Authentication:
    """The source of these guards for one service.

    Args:
        to: What schemes get from the service.
    """

    def __init__(self, to: Attached) -> None:
        self._to = to
        self.schemes: dict[int, Scheme] = {}

    def guards(self, policy: Policy) -> Iterable[Fragment]:
        """Return what *policy* asks for; nothing for one that says nothing of callers, or is public.

        Raises:
            ConfigurationError: It says who may call, but not how callers show who they are.
        """
        if not policy.closed:
            return
        known = any(guard.place is Place.AUTHENTICATE for guard in policy.guards)
        if policy.auth:
            for scheme in policy.auth:
                if id(scheme) not in self.schemes:
                    self.schemes[id(scheme)] = scheme
                    scheme.attach(self._to)
            yield Authenticate(policy.auth)
        elif not known and not policy.deny_by_default:
            raise ConfigurationError(
                "a policy says who may call (roles, scopes or allow) but not how callers show who they are. Give the "
                "service, the group or the operation auth=…, for example auth=BearerTokens()."
            )
        explain = Explain(policy.auth)
        if policy.roles or policy.scopes or policy.denies_everybody:
            yield Authorise(policy, explain)
        if policy.allow is not None:
            yield Permit(policy.allow, explain)


async def admit(policy: Policy, call: Call) -> None:
    """Do what the guards of *policy* do, for what has no plan: a WebSocket of a mounted application.

    A session alone does not open one: a browser lets pages of any site open WebSockets with its cookies, and no such
    page could be told apart.

    Raises:
        Problem: The caller is not known, or may not.
    """
    explain = Explain(policy.auth)
    if policy.auth and call.principal is None:
        call.principal = await Authenticate(policy.auth).authenticate(call, unsafe=True)
    principal = call.principal
    ruled = policy.roles or policy.scopes or policy.allow or policy.denies_everybody
    if principal is None:
        if ruled:
            raise explain.unknown(call)
        return
    if policy.denies_everybody:
        raise explain.denied(call)
    if policy.roles and policy.roles.isdisjoint(principal.roles):
        raise explain.roles(call, policy.roles)
    if not policy.scopes <= principal.scopes:
        raise explain.scopes(call, policy.scopes)
    if policy.allow is not None:
        await Permit(policy.allow, explain).ask(call)


@dataclass(frozen=True, slots=True)
class Authenticate:
    """The fragment that establishes who calls.

    Args:
        schemes: The ways a caller may show it; any one will do.
        unsafe: An expression: whether the call may change something.
    """

    schemes: Sequence[Scheme]
    unsafe: str = "False"
    name: str = "authenticate"
    place: Place = Place.AUTHENTICATE

    @property
    def note(self) -> str:
        """The schemes, for people."""
        return " or ".join(scheme.name for scheme in self.schemes)

    def on(self, unsafe: str) -> Authenticate:
        """Return the same for a transport that knows whether a call may change something."""
        return replace(self, unsafe=unsafe)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the look-up of known credentials, and the call that judges others.

        A principal that is there already, from an outer call or a guard of the user's own, stays.
        """
        judge = f"call.principal = await {writer.bind('authenticate', self.authenticate)}(call, {self.unsafe})"
        first = self.schemes[0]
        # Known credentials settle it only if the call brings no others, which would have to be looked at too.
        others = sorted({scheme.reads for scheme in self.schemes[1:]} - {first.reads, ""})
        alone = " and ".join(f"{writer.bind(name, name.encode())} not in call.metadata" for name in others)
        if writer.now is not None:
            writer.line(f"now = {writer.now}")  # the local it comes from says when something else began
            writer.now = "now"
        with writer.block("if call.principal is None:"):
            if first.fast(writer, alone, lambda found: writer.line(f"call.principal = {found}")):
                with writer.block("else:"):
                    writer.rarely(judge)
            else:
                writer.rarely(judge)
        inner()

    async def authenticate(self, call: Call, unsafe: bool) -> Principal | None:  # noqa: FBT001 - generated code calls it
        """Return who calls; None where nobody needs to be known.

        Every part of the request that brings credentials must bring valid ones: a session does not make up for a
        forged token.

        Raises:
            Unauthorized: Nothing that was sent proves it.
        """
        refused: dict[str, tuple[Scheme, Refused]] = {}
        principal: Principal | None = None
        shown = ""
        for scheme in self.schemes:
            if principal is not None and scheme.reads == shown:
                continue
            try:
                found = await scheme.authenticate(call, unsafe=unsafe)
            except Refused as error:
                refused.setdefault(scheme.reads, (scheme, error))
                continue
            except Problem as problem:
                problem.guard = problem.guard or "authenticate"
                raise
            if found is not None:
                refused.pop(scheme.reads, None)
                if principal is None:
                    principal, shown = found, scheme.reads
        if refused:
            scheme, refusal = next(iter(refused.values()))
            logger.debug("%s: %s refused: %s", call.operation, scheme.name, refusal.detail)
            raise _unauthorized(self.schemes, InvalidCredentials, refusal.reason, scheme)
        if principal is None and not any(scheme.name == "anonymous" for scheme in self.schemes):
            logger.debug("%s: refused, the call brings no credentials", call.operation)
            raise _unauthorized(self.schemes, Unauthorized, "This operation needs to know who calls.")
        return principal


def _unauthorized(
    schemes: Sequence[Scheme], kind: type[Unauthorized], detail: str, refused: Scheme | None = None
) -> Unauthorized:
    challenges = [scheme.challenge(detail if scheme is refused else None) for scheme in schemes]
    shown = ", ".join(challenge for challenge in challenges if challenge)
    problem = kind(detail, headers={"WWW-Authenticate": shown} if shown else None)
    problem.guard = "authenticate"
    return problem


@dataclass(frozen=True, slots=True)
class Explain:
    """Makes the refusals of authorisation, and says in the log which rule decided."""

    schemes: Sequence[Scheme]

    def unknown(self, call: Call) -> Unauthorized:
        """Return the refusal of a caller nobody knows."""
        logger.debug("%s: refused, nobody is known to call", call.operation)
        problem = _unauthorized(self.schemes, Unauthorized, "This operation needs to know who calls.")
        problem.guard = "authorise"
        return problem

    def roles(self, call: Call, roles: frozenset[str]) -> Forbidden:
        """Return the refusal of a caller without any of *roles*."""
        assert call.principal is not None  # noqa: S101 - looked at before
        self._log(call, f"it takes one of the roles {_list(roles)}, and has {_list(call.principal.roles)}")
        return _forbidden(Forbidden("The caller has none of the roles this operation takes."))

    def scopes(self, call: Call, scopes: frozenset[str]) -> Forbidden:
        """Return the refusal of credentials without all of *scopes*."""
        assert call.principal is not None  # noqa: S101 - looked at before
        self._log(call, f"it takes the scopes {_list(scopes)}, and was granted {_list(call.principal.scopes)}")
        detail = f"The credentials were not granted: {', '.join(sorted(scopes - call.principal.scopes))}."
        shown = ", ".join(filter(None, (scheme.challenge(detail, scopes) for scheme in self.schemes)))
        return _forbidden(InsufficientScope(detail, headers={"WWW-Authenticate": shown} if shown else None))

    def denied(self, call: Call) -> Forbidden:
        """Return the refusal of everybody: nothing says who may."""
        self._log(call, "no rule says who may, and the service denies by default")
        return _forbidden(Forbidden("Nobody was given access to this operation."))

    def predicate(self, call: Call, name: str) -> Forbidden:
        """Return the refusal by the predicate *name*."""
        self._log(call, f"{name} says no")
        return _forbidden(Forbidden("The caller may not do this here."))

    def allowed(self, call: Call, rule: str) -> None:
        """Say that *rule* let the call through."""
        principal = call.principal
        logger.debug("%s: allowed for %s: %s", call.operation, principal and principal.subject, rule)

    def _log(self, call: Call, why: str) -> None:
        principal = call.principal
        logger.debug("%s: refused for %s: %s", call.operation, principal and principal.subject, why)


def _forbidden(problem: Forbidden) -> Forbidden:
    problem.guard = "authorise"
    return problem


def _list(names: Iterable[str]) -> str:
    return "{" + ", ".join(sorted(names)) + "}"


@dataclass(frozen=True, slots=True)
class Authorise:
    """The fragment that compares the caller's roles and scopes with those the operation takes."""

    policy: Policy
    explain: Explain
    name: str = "authorise"
    place: Place = Place.AUTHORISE

    @property
    def note(self) -> str:
        """The rules, for people."""
        roles, scopes = self.policy.roles, self.policy.scopes
        parts = [f"one of the roles {_list(roles)}"] if roles else []
        parts += [f"the scopes {_list(scopes)}"] if scopes else []
        return " and ".join(parts) or "nobody: deny by default"

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write one comparison for each rule."""
        explain, policy = self.explain, self.policy
        writer.line("principal = call.principal")
        with writer.block("if principal is None:"):
            writer.line(f"raise {writer.bind('unknown_caller', explain.unknown)}(call)")
        if policy.denies_everybody:
            writer.line(f"raise {writer.bind('denied', explain.denied)}(call)")
        if policy.roles:
            roles = writer.bind("roles", policy.roles)
            with writer.block(f"if {roles}.isdisjoint(principal.roles):"):
                writer.line(f"raise {writer.bind('lacks_roles', explain.roles)}(call, {roles})")
        if policy.scopes:
            scopes = writer.bind("scopes", policy.scopes)
            with writer.block(f"if not {scopes} <= principal.scopes:"):
                writer.line(f"raise {writer.bind('lacks_scopes', explain.scopes)}(call, {scopes})")
        note = writer.bind("rule", self.note)
        with writer.block(f"if {writer.bind('explains', logger.isEnabledFor)}({writer.bind('debug', logging.DEBUG)}):"):
            writer.line(f"{writer.bind('allowed', explain.allowed)}(call, {note})")
        inner()


class Permit:
    """A predicate over the caller and the operation's arguments: ``allow=owns_order``.

    It takes a `Principal`, arguments of the operation by their names, app- or call-scoped resources and the `Call` by
    their types; it is async or not, and returns whether the caller may. It runs once the arguments are bound and
    resources are open, before any `Check`.
    """

    name = "permit"
    place = Place.VALIDATE

    def __init__(self, function: Callable[..., Any], explain: Explain) -> None:
        self._function = function
        self._explain = explain
        self.note = str(getattr(function, "__qualname__", function))
        self._where = f"predicate {self.note}"

    def taken(self, operation: Operation, resources: frozenset[Any]) -> Mapping[str, tuple[str, Any]]:
        """Return what the predicate takes: name → (``principal``, ``call``, ``resource`` or ``argument``, its type).

        Raises:
            DeclarationError: It takes what is not there, or in another type.
        """
        try:
            hints = get_type_hints(self._function)
        except (NameError, TypeError) as error:
            raise DeclarationError(f"{self._where}: a type cannot be resolved: {error}.") from None
        arguments = {parameter.name: parameter for parameter in operation.parameters}
        found: dict[str, tuple[str, Any]] = {}
        for parameter in inspect.signature(self._function).parameters.values():
            name, hint = parameter.name, hints.get(parameter.name)
            if hint in (Principal, Principal | None):
                found[name] = "principal", hint
            elif hint is Call:
                found[name] = "call", hint
            elif hint in resources:
                found[name] = "resource", hint
            elif name in arguments:
                expected = bare(arguments[name].type)
                if hint is not None and hint is not Any and bare(hint) != expected:
                    raise DeclarationError(
                        f"{self._where}: it takes {name!r} as {_show(hint)}, but {operation.where} has it as "
                        f"{_show(expected)}."
                    )
                found[name] = "argument", hint
            elif parameter.default is parameter.empty:
                raise DeclarationError(
                    f"{self._where}: it takes {name!r}, which is no argument of {operation.where}, no resource and not "
                    "the Principal."
                )
        return found

    async def ask(self, call: Call) -> None:
        """Ask the predicate about a call without arguments.

        Raises:
            Forbidden: It says no.
        """
        taken = self.taken(Operation("mount", self._function, (), None), frozenset())
        permitted: Any = self._function(
            **{name: call.principal if kind == "principal" else call for name, (kind, _) in taken.items()}
        )
        if inspect.isawaitable(permitted):
            permitted = await permitted
        if permitted is not True:
            raise self._explain.predicate(call, self.note)

    def with_arguments(self, expressions: Callable[[Writer], Mapping[str, str]]) -> Fragment:
        """Return the fragment, given the expressions for what the predicate takes."""
        return _Permitted(self, expressions)

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        """Write the predicate for a plan without arguments: a mounted application."""
        taken = self.taken(Operation("mount", self._function, (), None), frozenset())
        by_kind = {"principal": "call.principal", "call": "call"}
        self.write(writer, {name: by_kind[kind] for name, (kind, _) in taken.items()}, inner)

    def write(self, writer: Writer, expressions: Mapping[str, str], inner: Callable[[], None]) -> None:
        """Write the question, and the refusal."""
        function = writer.bind("permit", self._function)
        explain = self._explain
        taken = ", ".join(f"{name}={expression}" for name, expression in expressions.items())
        if "call.principal" in expressions.values() and not self._takes_nobody():
            with writer.block("if call.principal is None:"):
                writer.line(f"raise {writer.bind('unknown_caller', explain.unknown)}(call)")
        writer.line(f"permitted = {function}({taken})")
        target = inspect.unwrap(self._function)
        if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(getattr(target, "__call__", None)):  # noqa: B004
            writer.line("permitted = await permitted")
        rule = writer.bind("predicate", self.note)
        # Only True permits: a coroutine that was never awaited, or an object that happens to be there, does not.
        with writer.block("if permitted is not True:"):
            writer.line(f"raise {writer.bind('predicate_denies', explain.predicate)}(call, {rule})")
        with writer.block(f"if {writer.bind('explains', logger.isEnabledFor)}({writer.bind('debug', logging.DEBUG)}):"):
            writer.line(f"{writer.bind('allowed', explain.allowed)}(call, {rule})")
        inner()

    def _takes_nobody(self) -> bool:
        return Principal | None in get_type_hints(self._function).values()


class _Permitted:
    """A `Permit` in the plan of an operation."""

    name = "permit"
    place = Place.VALIDATE

    def __init__(self, permit: Permit, expressions: Callable[[Writer], Mapping[str, str]]) -> None:
        self._permit = permit
        self._expressions = expressions
        self.note = permit.note

    def emit(self, writer: Writer, inner: Callable[[], None]) -> None:
        self._permit.write(writer, self._expressions(writer), inner)


def _show(hint: Any) -> str:
    return hint.__qualname__ if isinstance(hint, type) else str(hint)
