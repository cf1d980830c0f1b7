"""Sign-in by an external OpenID provider: authorization code with PKCE, state, nonce (OpenID Connect Core, RFC 9700).

The two halves are `OpenIdProvider.begin`, which says where to send the browser, and `finish`, which makes claims of
what it comes back with. In between, a `Flow` waits under its state, to be taken once.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import msgspec

from seawall.auth.fetching import Fetch, Fetched, FetchFailed, HttpxFetch, secure_url
from seawall.auth.fingerprints import digest, new_secret, pkce_challenge
from seawall.auth.issuing import InvalidGrant
from seawall.auth.jws import InvalidToken, parse
from seawall.auth.keyring import RemoteKeys
from seawall.auth.tokens import TokenRules, TokenVerifier, UnknownKey
from seawall.clock import Clock, SystemClock
from seawall.problems import Unavailable

__all__ = ["Flow", "OpenIdProvider", "SignIns"]

_FLOW_SECONDS = 600.0
_METADATA_SECONDS = 3600.0


class Flow(msgspec.Struct, frozen=True):
    """A sign-in that has begun.

    Args:
        nonce: What the id token must repeat.
        verifier: The PKCE verifier.
        redirect_uri: Where the browser comes back to.
        browser: The hash of what this browser alone holds in a cookie.
        then: Where the user wanted to go.
    """

    nonce: str
    verifier: str
    redirect_uri: str
    browser: str
    then: str = "/"


class SignIns(Protocol):
    """Where sign-ins wait that have begun."""

    async def keep_flow(self, state: str, flow: Flow, until: float) -> None:
        """Keep *flow* under the hash *state*."""

    async def take_flow(self, state: str, now: float) -> Flow | None:
        """In one step: return the flow under *state* and forget it, so that no code is used twice."""
        ...


class _Metadata(msgspec.Struct):
    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    code_challenge_methods_supported: list[str] = []
    id_token_signing_alg_values_supported: list[str] = []
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct):
    id_token: str


class OpenIdProvider:
    """An OpenID provider, and this service as its client.

    Args:
        issuer: Its issuer; its other addresses are discovered from it, and must be https.
        client_id: What it knows this service by.
        client_secret: This service's secret there; None for a public client.
        store: Where sign-ins wait.
        scopes: What is asked for, ``openid`` included.
        fetch: Makes requests.
        algorithms: What id tokens may be signed by.
        leeway: Seconds that clocks may differ.
        clock: What time it is.

    Raises:
        ValueError: *issuer* is not https.
    """

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str | None,
        store: SignIns,
        *,
        scopes: tuple[str, ...] = ("openid", "profile", "email"),
        fetch: Fetch | None = None,
        algorithms: frozenset[str] = frozenset({"RS256", "PS256", "ES256", "EdDSA", "Ed25519"}),
        leeway: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self.issuer = secure_url(issuer)
        self._client_id = client_id
        self._client_secret = client_secret
        self._store = store
        self._scopes = scopes
        self._fetch = fetch or HttpxFetch()
        self._algorithms = algorithms
        self._leeway = leeway
        self._clock = clock or SystemClock()
        self._metadata: _Metadata | None = None
        self._read_at = float("-inf")
        self._keys: RemoteKeys | None = None

    async def begin(self, redirect_uri: str, then: str = "/") -> tuple[str, str]:
        """Begin a sign-in.

        Args:
            redirect_uri: Where the browser comes back to; must be one the provider knows.
            then: Where the user wanted to go.

        Returns:
            The address to send the browser to, and what it must hold in a cookie until it is back.

        Raises:
            Unavailable: The provider cannot be reached.
        """
        metadata = await self._discover()
        state, browser = new_secret(), new_secret()
        flow = Flow(new_secret(), new_secret(48), redirect_uri, digest(browser), then)
        await self._store.keep_flow(digest(state), flow, self._clock.time() + _FLOW_SECONDS)
        query = {
            "response_type": "code",
            "client_id": self._client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(self._scopes),
            "state": state,
            "nonce": flow.nonce,
            "code_challenge": pkce_challenge(flow.verifier),
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(query, quote_via=quote)}", browser

    async def finish(
        self, *, state: str, code: str | None, browser: str | None, issuer: str | None = None, error: str | None = None
    ) -> tuple[dict[str, Any], Flow]:
        """Finish a sign-in; return the claims of the id token, and the flow it ends.

        Args:
            state: As the browser brought it.
            code: As the browser brought it.
            browser: What the browser held in the cookie.
            issuer: ``iss`` as the browser brought it (RFC 9207).
            error: ``error`` as the browser brought it.

        Raises:
            InvalidGrant: It is not the end of a sign-in that this browser began, or the provider says no.
            Unavailable: The provider cannot be reached.
        """
        flow = await self._store.take_flow(digest(state), self._clock.time())
        if flow is None or browser is None or not hmac.compare_digest(flow.browser, digest(browser)):
            raise InvalidGrant("this sign-in was not begun here, or is over")
        metadata = await self._discover()
        if (issuer or metadata.authorization_response_iss_parameter_supported) and issuer != self.issuer:
            raise InvalidGrant("the answer comes from another provider")
        if error or not code:
            raise InvalidGrant("the provider did not let the user in")
        token = await self._redeem(metadata, code, flow)
        claims = await self._verify(metadata, token)
        if claims.get("nonce") != flow.nonce:
            raise InvalidGrant("the id token belongs to another sign-in")
        audience = claims.get("aud")
        party = claims.get("azp")
        if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (None, self._client_id):
            raise InvalidGrant("the id token was made for another client")
        return claims, flow

    async def _redeem(self, metadata: _Metadata, code: str, flow: Flow) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = {}
        if self._client_secret is None:
            form["client_id"] = self._client_id
        else:  # RFC 6749 §2.3.1: both are form-encoded before they are joined
            pair = f"{quote(self._client_id, safe='')}:{quote(self._client_secret, safe='')}"
            headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        answer = await self._ask(self._fetch.post(metadata.token_endpoint, form, headers=headers))
        if answer.status != 200:
            raise InvalidGrant("the provider did not accept the code")
        try:
            return msgspec.json.decode(answer.body, type=_Tokens).id_token
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise InvalidGrant("the provider's answer cannot be read") from None

    async def _verify(self, metadata: _Metadata, token: str) -> dict[str, Any]:
        if self._keys is None or self._keys.url != metadata.jwks_uri:
            self._keys = RemoteKeys(metadata.jwks_uri, self._fetch)
        rules = TokenRules(
            issuer=self.issuer,
            audience=frozenset({self._client_id}),
            types=frozenset({"jwt", None}),  # type: ignore[arg-type]  # an id token need not say that it is one
            algorithms=self._algorithms,
            leeway=self._leeway,
        )
        verifier = TokenVerifier(self._keys, rules, self._clock)
        try:
            jws = parse(token.encode("utf-8", "replace"))
            try:
                claims = verifier.signed_claims(jws)
            except UnknownKey:
                await self._keys.missing(self._clock)
                claims = verifier.signed_claims(jws)
            verifier.check(claims)
        except InvalidToken as error:
            raise InvalidGrant(f"the id token is not valid: {error}") from None
        return claims

    async def _discover(self) -> _Metadata:
        now = self._clock.monotonic()
        if self._metadata is not None and now - self._read_at < _METADATA_SECONDS:
            return self._metadata
        address = f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        answer = await self._ask(self._fetch.get(address), stale=self._metadata is not None)
        if answer is not None and answer.status == 200:
            try:
                found = msgspec.json.decode(answer.body, type=_Metadata)
                for url in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
                    secure_url(url)
            except (ValueError, RecursionError):
                found = None
            # Another issuer's document would have us send this one's codes there (OpenID Connect Discovery §4.3).
            if found is not None and found.issuer == self.issuer:
                self._metadata, self._read_at = found, now
        if self._metadata is None:
            raise Unavailable("The identity provider cannot be used at the moment.", headers={"Retry-After": "30"})
        return self._metadata

    async def _ask(self, request: Any, *, stale: bool = False) -> Any:
        try:
            answer: Fetched = await request
        except FetchFailed as error:
            if stale:
                return None
            raise Unavailable(
                "The identity provider cannot be reached at the moment.", headers={"Retry-After": "30"}
            ) from error
        return answer
