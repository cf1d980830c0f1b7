"""How a caller shows who it is: the base of every scheme."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from seawall.call import Call, Principal
from seawall.clock import Clock
from seawall.plan import Writer
from seawall.problems import Problem

if TYPE_CHECKING:
    from seawall.settings import AuthSettings

__all__ = ["ANONYMOUS", "Anonymous", "Attached", "Refused", "Scheme", "VerifiedCache", "quoted"]


class Refused(Exception):
    """Credentials were sent and are not valid.

    Args:
        reason: Why, for the holder of the credentials: nothing secret.
        detail: Why, for the log; *reason* by default.
    """

    def __init__(self, reason: str, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail or reason


@dataclass(frozen=True, slots=True)
class Attached:
    """What a scheme gets from the service it is used in.

    Args:
        realm: The service's name.
        clock: What time it is.
        settings: ``[auth]``.
    """

    realm: str
    clock: Clock
    settings: AuthSettings


class Scheme:
    """One way to tell who calls. Subclass it for a way of your own: `authenticate` and `challenge` are enough."""

    name: str = ""
    """What it is called in the API document and in the log."""
    reads: str = ""
    """The header field it reads, in lower case; schemes that read the same one are tried one after the other."""
    security: ClassVar[Mapping[str, Any]] = {}
    """Its OpenAPI Security Scheme Object."""
    problems: ClassVar[tuple[type[Problem], ...]] = ()
    """What it may answer beside 401, for the API document."""

    def document(self) -> Mapping[str, Any]:
        """Return its OpenAPI Security Scheme Object."""
        return self.security

    def attach(self, to: Attached) -> None:
        """Take from the service what was not given; called before plans are compiled.

        Raises:
            ConfigurationError: Something it needs was given nowhere.
        """

    def fast(self, writer: Writer, alone: str, found: Callable[[str], None]) -> bool:  # noqa: ARG002 - most have none
        """Write lines that recognise credentials seen before, if there is such a way.

        Args:
            writer: Where to.
            alone: A further condition for them, as an expression; empty for none.
            found: Writes what is done with the expression for the principal.

        Returns:
            Whether lines were written; they end in an ``if`` whose ``else`` the guard writes.
        """
        return False

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:
        """Return who calls, or None when the call brings nothing that this scheme reads.

        Args:
            call: The call; credentials stand in its ``metadata``.
            unsafe: Whether the call may change something, so that a browser must prove where it comes from.

        Raises:
            Refused: What it brings is not valid.
            Problem: It cannot be judged, or the caller is not to try.
        """
        raise NotImplementedError

    def challenge(self, error: str | None, scopes: Iterable[str] = ()) -> str | None:  # noqa: ARG002
        """Return the ``WWW-Authenticate`` challenge (RFC 9110 §11.6.1), or None where there is none.

        Args:
            error: Why credentials were refused; None when there were none.
            scopes: What the credentials would have to be granted, where that was missing.
        """
        return None

    def background(self) -> Iterable[tuple[str, Callable[[], Awaitable[None]]]]:
        """Return what runs beside the calls for as long as the service does, each with its name."""
        return ()


class Anonymous(Scheme):
    """Lets calls without credentials through; those that bring some must still bring valid ones."""

    name = "anonymous"

    async def authenticate(self, call: Call, *, unsafe: bool) -> Principal | None:  # noqa: ARG002 - nothing is read
        """Return None: nobody in particular."""
        return None


ANONYMOUS = Anonymous()
"""As in ``auth=[BearerTokens(), ANONYMOUS]``."""


class VerifiedCache:
    """Credentials that proved valid, by the bytes they were sent as, each until it ends.

    Only what proved valid gets in, so that a flood of forgeries takes no memory. When it is full, what has ended goes,
    and a quarter of the rest, the oldest first: one look-up in a dictionary stays all that a hit costs.

    Args:
        most: Entries it holds.
    """

    __slots__ = ("entries", "get", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.entries: dict[bytes, tuple[Principal, float]] = {}
        self.get = self.entries.get

    def put(self, key: bytes, principal: Principal, until: float, now: float) -> None:
        """Remember that *key* is *principal*'s until then; both times are `Clock.time`."""
        entries = self.entries
        if self.most <= 0 or until <= now:
            return
        if len(entries) >= self.most:
            ended = [each for each, (_, end) in entries.items() if end <= now]
            for each in ended or list(entries)[: max(1, self.most // 4)]:
                del entries[each]
        entries[key] = principal, until

    def clear(self) -> None:
        """Forget all of them: keys were rotated, or something was revoked."""
        self.entries.clear()

    def __len__(self) -> int:
        return len(self.entries)


def quoted(text: str) -> str:
    """Return *text* as a quoted-string of a challenge (RFC 9110 §5.6.4); what cannot stand there becomes ``?``."""
    clean = text if text.isascii() and text.isprintable() else _clean(text)
    return '"' + clean.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _clean(text: str) -> str:
    return "".join(each if " " <= each <= "~" else "?" for each in text)
