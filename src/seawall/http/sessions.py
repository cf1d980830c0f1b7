"""Sessions in cookies, for browsers: the scheme, logging in and out, and what keeps other sites out (CSRF)."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Literal

from seawall.auth.fingerprints import digest, new_secret
from seawall.auth.issuing import Grant
from seawall.auth.scheme import Attached, Refused, Scheme, quoted
from seawall.auth.sessions import Session, SessionStore
from seawall.call import Call, Principal
from seawall.clock import Clock, SystemClock
from seawall.http.cookies import delete_cookie, parse_cookies, set_cookie
from seawall.problems import Forbidden, Problem

__all__ = ["CrossSite", "Sessions", "refuse_cross_site"]


class CrossSite(Forbidden):
    """403: a page of another site may have sent this; a page of ours shows that it did with ``X-CSRF-Token``."""

    type = "urn:problem-type:seawall:cross-site-request"
    title = "Cross-site request"


class Sessions(Scheme):
    """A session behind a cookie that no script can read.

    Calls that may change something (any method but GET, HEAD and OPTIONS) must also bring ``X-CSRF-Token``, which only
    pages of the service's own origin can know, and must not come from another site as far as the browser says
    (``Sec-Fetch-Site``). The cookie is random, kept as a hash, and new with every login.

    Args:
        store: Where sessions are kept. If it is down, what it raises is the answer.
        seconds: How long a session lasts.
        cookie: The cookie's name; ``__Host-`` keeps other hosts of the domain from setting it.
        secure: Whether it is sent over https alone; browsers count ``http://localhost`` as such.
        same_site: Whether other sites' links bring it along: ``"lax"`` or ``"strict"``.
        name: What the scheme is called in the API document.
    """

    reads = "cookie"
    problems: ClassVar[tuple[type[Problem], ...]] = (CrossSite,)

    def __init__(
        self,
        store: SessionStore,
        *,
        seconds: float = 8 * 3600.0,
        cookie: str = "__Host-session",
        secure: bool = True,
        same_site: Literal["lax", "strict"] = "lax",
        name: str = "session",
        clock: Clock | None = None,
    ) -> None:
        self.name = name
        self._store = store
        self._seconds = seconds
        self._cookie = cookie
        self._secure = secure
        self._same_site: Literal["lax", "strict"] = same_site
        self._realm = ""
        self._given = clock
        self._clock: Clock = clock or SystemClock()
        set_cookie(cookie, "checked", secure=secure, same_site=same_site)

    def attach(self, to: Attached) -> None:
        """Take the clock and the name of the service."""
        self._realm, self._clock = to.realm, self._given or to.clock

    def document(self) -> Mapping[str, Any]:
        """Return the Security Scheme Object."""
        return {"type": "apiKey", "in": "cookie", "name": self._cookie}

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:
        """Return whose browser calls; None without a session's cookie.

        Raises:
            Refused: The session has ended.
            CrossSite: The call may change something, and does not show that it comes from a page of ours.
        """
        held = self._held(call)
        if held is None:
            return None
        session = await self._store.read_session(digest(held), self._clock.time())
        if session is None:
            raise Refused("The session has ended.")
        if unsafe:
            refuse_cross_site(call)
            sent = call.metadata.get(b"x-csrf-token", b"")
            if not hmac.compare_digest(session.csrf.encode(), sent):
                raise CrossSite("Send the session's token as X-CSRF-Token with whatever changes something.")
        grant = session.grant
        return Principal(grant.subject, grant.roles, grant.scopes, grant.claims)

    def challenge(self, error: str | None, scopes: Iterable[str] = ()) -> str | None:  # noqa: ARG002
        """Return a challenge of our own: RFC 9110 wants one, and none is registered for cookies."""
        return f"Cookie realm={quoted(self._realm)}, cookie-name={quoted(self._cookie)}"

    async def open(self, call: Call, grant: Grant) -> Session:
        """Log the browser in: a new session, whatever it held before, and its cookie on the answer."""
        await self._end(call)
        held = new_secret()
        session = Session(grant, new_secret(), self._clock.time() + self._seconds)
        await self._store.open_session(digest(held), session)
        cookie = set_cookie(
            self._cookie, held, max_age=int(self._seconds), secure=self._secure, same_site=self._same_site
        )
        call.add_header("set-cookie", cookie.decode("ascii"))
        call.add_header("cache-control", "no-store")
        return session

    async def read(self, call: Call) -> Session | None:
        """Return the browser's session, for a page that needs its CSRF token."""
        held = self._held(call)
        return None if held is None else await self._store.read_session(digest(held), self._clock.time())

    async def close(self, call: Call) -> None:
        """Log the browser out."""
        await self._end(call)
        gone = delete_cookie(self._cookie, secure=self._secure, same_site=self._same_site)
        call.add_header("set-cookie", gone.decode("ascii"))

    async def close_all(self, subject: str) -> int:
        """Log *subject* out of every browser; return how many there were."""
        return await self._store.close_sessions(subject)

    async def _end(self, call: Call) -> None:
        held = self._held(call)
        if held is not None:
            await self._store.close_session(digest(held))

    def _held(self, call: Call) -> str | None:
        sent = call.metadata.get(b"cookie")
        held = None if sent is None else parse_cookies(sent).get(self._cookie)
        return held if held and len(held) <= 128 else None


def refuse_cross_site(call: Call) -> None:
    """Refuse a call that a browser says another site makes (Fetch Metadata, ``Sec-Fetch-Site``).

    Raises:
        CrossSite: It says so.
    """
    if call.metadata.get(b"sec-fetch-site", b"none") not in (b"same-origin", b"none"):
        raise CrossSite("A page of another site may not do this.")
