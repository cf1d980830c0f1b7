"""The routes of identity: tokens for clients, sessions for browsers, and sign-in by an external provider."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.responses import JSONResponse, RedirectResponse, Response

from seawall.auth.basic import decode_basic
from seawall.auth.clients import Client, Clients, authenticate_client, client_grant
from seawall.auth.issuing import Grant, InvalidGrant, TokenPair, TokenService
from seawall.auth.keys import Key, jwks_document
from seawall.auth.oidc import OpenIdProvider
from seawall.auth.passwords import PasswordLogin, Throttle
from seawall.auth.problems import InvalidCredentials
from seawall.auth.sessions import Session
from seawall.call import Call
from seawall.http.cookies import delete_cookie, parse_cookies, set_cookie
from seawall.http.parameters import Form, Header, Query
from seawall.http.reply import Reply
from seawall.http.sessions import CrossSite, Sessions, refuse_cross_site
from seawall.limit.attempts import Attempts
from seawall.problems import TooManyRequests

if TYPE_CHECKING:
    from seawall.group import Group

__all__ = [
    "Credentials",
    "LoggedIn",
    "count_attempts",
    "key_routes",
    "login_routes",
    "provider_routes",
    "session_routes",
    "token_routes",
]

Login = Callable[[str, str, str | None], Awaitable[Grant | None]]
_Text = Annotated[str, msgspec.Meta(max_length=4096)]
ATTEMPTS = 10
_NO_STORE = {"cache-control": "no-store"}


class Credentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Name and password."""

    username: Annotated[str, msgspec.Meta(min_length=1, max_length=320)]
    password: Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class LoggedIn(msgspec.Struct, frozen=True):
    """A browser that is logged in; *csrf_token* goes into ``X-CSRF-Token`` of whatever changes something."""

    subject: str
    roles: list[str]
    csrf_token: str


class TokenRequest(msgspec.Struct, frozen=True):
    """What a client asks the token endpoint (RFC 6749)."""

    grant_type: _Text
    refresh_token: _Text | None = None
    scope: _Text | None = None
    client_id: _Text | None = None
    client_secret: _Text | None = None


class RevocationRequest(msgspec.Struct, frozen=True):
    """What a client asks the revocation endpoint (RFC 7009)."""

    token: _Text
    token_type_hint: _Text | None = None
    client_id: _Text | None = None
    client_secret: _Text | None = None


class Callback(msgspec.Struct, frozen=True):
    """What the browser brings back from the provider."""

    state: _Text
    code: _Text | None = None
    iss: _Text | None = None
    error: _Text | None = None


def login_routes(group: Group, tokens: TokenService, login: Login, *, path: str = "/login") -> None:
    """Offer ``POST /login``: name and password for tokens.

    A `PasswordLogin` counts attempts where the service's limits are counted, unless it was given throttles.
    """
    count_attempts(group, login)

    @group.post(path, public=True, problems=[InvalidCredentials, TooManyRequests], max_body="8 KiB", name="log_in")
    async def log_in(credentials: Credentials, call: Call) -> Reply[TokenPair]:
        """Log in with name and password.

        Raises:
            InvalidCredentials: Name or password is not right.
            TooManyRequests: There were too many attempts; `Retry-After` says when to come back.

        Example:
            {"username": "ann@example.com", "password": "correct horse battery staple"}
        """
        grant = await _logged_in(login, credentials, call)
        return Reply(await tokens.issue(grant), headers=_NO_STORE)


def token_routes(
    group: Group, tokens: TokenService, clients: Clients, *, throttle: Throttle | None = None, prefix: str = "/oauth"
) -> None:
    """Offer ``POST /oauth/token`` (client credentials, refresh tokens) and ``POST /oauth/revoke``, as OAuth has them.

    Args:
        group: Where.
        tokens: Makes them.
        clients: Who may ask.
        throttle: Counts attempts of one client that are refused; by default ten a minute, where the service's limits
            are counted.
        prefix: Where, within the group.
    """
    throttle = throttle or _attempts(group)(ATTEMPTS, "token client")
    endpoint = _TokenEndpoint(tokens, clients, throttle)

    @group.post(f"{prefix}/token", public=True, max_body="16 KiB", unknown_fields="ignore", name="issue_tokens")
    async def issue_tokens(
        request: Annotated[TokenRequest, Form()], call: Call, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        """Return tokens to a client: for itself (`client_credentials`), or for a refresh token (`refresh_token`).

        Answers, and refuses, as RFC 6749 §5 says: `{"error": …}` and not a problem document.
        """
        return await endpoint.issue(request, call, authorization)

    @group.post(f"{prefix}/revoke", public=True, max_body="16 KiB", unknown_fields="ignore", name="revoke_token")
    async def revoke_token(
        request: Annotated[RevocationRequest, Form()], call: Call, authorization: Annotated[str | None, Header()] = None
    ) -> Response:
        """Take a refresh token back, and every token that came of the same login (RFC 7009)."""
        return await endpoint.revoke(request, call, authorization)


def key_routes(group: Group, keys: Callable[[], Iterable[Key]], *, path: str = "/.well-known/jwks.json") -> None:
    """Offer the public halves of the service's keys, for others to check its tokens with."""

    @group.get(path, public=True, name="read_keys")
    async def read_keys() -> Response:
        """Return the service's public keys (RFC 7517)."""
        return JSONResponse(jwks_document(keys()), headers={"cache-control": "public, max-age=300"})


def session_routes(group: Group, sessions: Sessions, login: Login, *, path: str = "/session") -> None:
    """Offer ``POST``, ``GET`` and ``DELETE /session``: logging a browser in, its CSRF token, and out.

    Attempts are counted as `login_routes` says.
    """
    count_attempts(group, login)

    @group.post(
        path,
        public=True,
        problems=[InvalidCredentials, CrossSite, TooManyRequests],
        max_body="8 KiB",
        name="open_session",
    )
    async def open_session(credentials: Credentials, call: Call) -> LoggedIn:
        """Log this browser in.

        Raises:
            InvalidCredentials: Name or password is not right.

        Example:
            {"username": "ann@example.com", "password": "correct horse battery staple"}
        """
        refuse_cross_site(call)
        grant = await _logged_in(login, credentials, call)
        return _shown(await sessions.open(call, grant))

    @group.get(path, auth=sessions, name="read_session")
    async def read_session(call: Call) -> LoggedIn:
        """Return who is logged in, and the token that changes need."""
        call.add_header("cache-control", "no-store")
        session = await sessions.read(call)
        if session is None:
            raise InvalidCredentials("The session has ended.")
        return _shown(session)

    @group.delete(path, auth=sessions, name="close_session")
    async def close_session(call: Call) -> None:
        """Log this browser out."""
        await sessions.close(call)


def provider_routes(
    group: Group,
    provider: OpenIdProvider,
    sessions: Sessions,
    identify: Callable[[dict[str, Any]], Awaitable[Grant | None]],
    *,
    callback_url: str,
    path: str = "/sign-in",
    secure: bool = True,
) -> None:
    """Offer ``GET /sign-in``, which leads to the provider, and ``GET /sign-in/callback``, which it leads back to.

    Args:
        group: Where.
        provider: The provider.
        sessions: Where browsers are logged in.
        identify: Returns what the user with the claims of an id token is granted here; None lets nobody in.
        callback_url: The whole address of the callback, as the provider knows it: never taken from a request.
        path: Where, within the group.
        secure: Whether the cookie of a sign-in is sent over https alone.
    """
    cookie = "__Host-sign-in" if secure else "sign-in"

    @group.get(path, public=True, name="sign_in")
    async def sign_in(call: Call, then: Annotated[str, msgspec.Meta(max_length=2000)] = "/") -> Response:
        """Go to the identity provider, and come back logged in to the path `then`."""
        url, browser = await provider.begin(callback_url, then if _is_local(then) else "/")
        # Lax: the provider's page, another site, leads back with it.
        held = set_cookie(cookie, browser, max_age=600, secure=secure, same_site="lax")
        call.add_header("set-cookie", held.decode("ascii"))
        return RedirectResponse(url, 302, headers=_NO_STORE)

    @group.get(
        f"{path}/callback", public=True, problems=[InvalidCredentials], unknown_fields="ignore", name="signed_in"
    )
    async def signed_in(answer: Annotated[Callback, Query()], call: Call) -> Response:
        """Come back from the identity provider.

        Raises:
            InvalidCredentials: This is not the end of a sign-in that this browser began, or the user was not let in.
        """
        browser = parse_cookies(call.metadata.get(b"cookie", b"")).get(cookie)
        call.add_header("set-cookie", delete_cookie(cookie, secure=secure).decode("ascii"))
        try:
            claims, flow = await provider.finish(
                state=answer.state, code=answer.code, browser=browser, issuer=answer.iss, error=answer.error
            )
            grant = await identify(claims)
        except InvalidGrant as error:
            raise _refused(f"The sign-in failed: {error}.") from None
        if grant is None:
            raise _refused("This account may not sign in here.")
        await sessions.open(call, grant)
        return RedirectResponse(flow.then, 303)


class _TokenEndpoint:
    """The token endpoint of RFC 6749 and the revocation endpoint of RFC 7009."""

    def __init__(self, tokens: TokenService, clients: Clients, throttle: Throttle) -> None:
        self._tokens = tokens
        self._clients = clients
        self._throttle = throttle

    async def issue(self, request: TokenRequest, call: Call, authorization: str | None) -> Response:
        client = await self._client(request, call, authorization)
        if not isinstance(client, Client):
            return client
        scopes = None if request.scope is None else request.scope.split()
        try:
            if request.grant_type == "client_credentials":
                grant = client_grant(client, scopes)
                return _answer(await self._tokens.issue(grant, refresh=False))
            if request.grant_type == "refresh_token":
                if not request.refresh_token:
                    return _error("invalid_request", "refresh_token is missing")
                return _answer(await self._tokens.refresh(request.refresh_token, scopes, client.id))
        except InvalidGrant as error:
            code = "invalid_scope" if "scope" in str(error) else "invalid_grant"
            if request.grant_type == "client_credentials":
                code = "invalid_scope" if client.machine else "unauthorized_client"
            return _error(code, str(error))
        return _error("unsupported_grant_type", "client_credentials and refresh_token are supported")

    async def revoke(self, request: RevocationRequest, call: Call, authorization: str | None) -> Response:
        client = await self._client(request, call, authorization)
        if not isinstance(client, Client):
            return client
        await self._tokens.revoke(request.token)
        return JSONResponse({}, headers=_NO_STORE)

    async def _client(
        self, request: TokenRequest | RevocationRequest, call: Call, authorization: str | None
    ) -> Client | Response:
        pair = decode_basic(authorization.encode("latin-1")) if authorization else None
        if authorization and (pair is None or request.client_secret is not None):
            return _error("invalid_client", "the client cannot be told", 401)
        name, secret = pair or (request.client_id, request.client_secret)
        if not name:
            return _error("invalid_client", "the client does not say who it is", 401)
        key = f"client {name[:200]} {call.client}"
        wait = await self._throttle.take(key)
        if wait > 0:
            raise TooManyRequests("Too many attempts.", headers={"Retry-After": str(max(1, int(wait + 0.999)))})
        client = await authenticate_client(self._clients, name, secret)
        if client is None:
            return _error("invalid_client", "the client is not known, or its secret is wrong", 401)
        await self._throttle.forgive(key)
        return client


def _attempts(group: Group) -> Callable[[int, str], Throttle]:
    """Return what makes throttles that count where the service counts calls."""
    service: Any = group.root
    service.counts_attempts = True
    return lambda most, name: Attempts(lambda: service.limits, f"{most}/minute", name)


def count_attempts(group: Group, login: Login) -> None:
    """Let a `PasswordLogin` count attempts where the service's limits are counted, unless it was given throttles.

    `login_routes` and `session_routes` do it; it is for routes of your own that log in.
    """
    if isinstance(login, PasswordLogin):
        login.count_in(_attempts(group))


async def _logged_in(login: Login, credentials: Credentials, call: Call) -> Grant:
    grant = await login(credentials.username, credentials.password, call.client)
    if grant is None:
        raise _refused("Name or password is not right.")
    return grant


def _refused(detail: str) -> InvalidCredentials:
    problem = InvalidCredentials(detail, headers={"Cache-Control": "no-store", "WWW-Authenticate": "Form"})
    problem.guard = "login"
    return problem


def _shown(session: Session) -> LoggedIn:
    return LoggedIn(session.grant.subject, sorted(session.grant.roles), session.csrf)


def _answer(pair: TokenPair) -> Response:
    return JSONResponse(msgspec.to_builtins(pair), headers={**_NO_STORE, "pragma": "no-cache"})


def _error(code: str, description: str, status: int = 400) -> Response:
    headers = {**_NO_STORE, **({"www-authenticate": "Basic"} if status == 401 else {})}
    return JSONResponse({"error": code, "error_description": description}, status, headers=headers)


def _is_local(path: str) -> bool:
    """Return whether *path* stays on this host; browsers take two slashes of either kind as the way to another."""
    return path[:1] == "/" and path[1:2] not in ("/", "\\") and path.isprintable() and path.isascii()
