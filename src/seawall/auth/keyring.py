"""The keys of an issuer, and how they change while the service runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from seawall.auth.fetching import Fetch, FetchFailed, secure_url
from seawall.auth.keys import Key, UnusableKey, keys_from_jwks, read_keys
from seawall.clock import Clock
from seawall.problems import ConfigurationError, Unavailable

__all__ = ["FileKeys", "KeyRing", "RemoteKeys"]

logger = logging.getLogger("seawall.auth")


class KeyRing:
    """Keys to check signatures with; `replace` puts others in their place without a restart.

    Args:
        keys: The keys.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self._keys: tuple[Key, ...] = ()
        self._found: dict[tuple[str | None, str], tuple[Key, ...]] = {}
        self._named: dict[str | None, list[Key]] = {}
        self._listeners: list[Callable[[], None]] = []
        self.replace(keys)

    @property
    def keys(self) -> Sequence[Key]:
        """The keys of this moment."""
        return self._keys

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever the keys are others than before."""
        if listener not in self._listeners:
            self._listeners.append(listener)

    def replace(self, keys: Iterable[Key]) -> bool:
        """Use *keys* from now on; return whether they are others than before."""
        keys = tuple(keys)
        if _marks(keys) == _marks(self._keys):
            return False
        self._keys = keys
        self._named = {}
        for key in keys:
            self._named.setdefault(key.kid, []).append(key)
        for listener in self._listeners:
            listener()
        return True

    def find(self, kid: str | None, algorithm: str) -> Iterable[Key]:
        """Return the keys a token with this header may be signed with; a key without a kid may be anybody's."""
        if kid is None:
            return [key for key in self._keys if algorithm in key.algorithms]
        named = self._named.get(kid)
        return named if named is not None else self._named.get(None, ())

    def knows(self, kid: str | None) -> bool:
        """Return whether reading the keys again could not help a token that names *kid*."""
        return kid in self._named if kid is not None else bool(self._keys)

    async def missing(self, clock: Clock) -> None:
        """Do what can be done about a key that is not there; these keys are all there are.

        Raises:
            Unavailable: There are no keys at all yet, so that nothing can be judged.
        """

    def background(self, clock: Clock) -> tuple[str, Callable[[], Awaitable[None]]] | None:  # noqa: ARG002
        """Return what keeps the keys fresh while the service runs, if anything does."""
        return None


class FileKeys(KeyRing):
    """The keys of a file (JWKS or PEM), read again when it changes.

    Args:
        path: The file.
        interval: Seconds between two looks at it.

    Raises:
        ConfigurationError: It cannot be read, or holds no usable key. Later on, the keys before stay.
    """

    def __init__(self, path: str | Path, *, interval: float = 5.0) -> None:
        self._path = Path(path)
        self._interval = interval
        self._seen = self._stamp()
        super().__init__(read_keys(self._path))

    def background(self, clock: Clock) -> tuple[str, Callable[[], Awaitable[None]]] | None:
        """Return the look at the file."""

        async def follow() -> None:
            while True:
                await clock.sleep(self._interval)
                self.look()

        return f"keys of {self._path.name}", follow

    async def missing(self, clock: Clock) -> None:  # noqa: ARG002 - a look at a file costs nothing
        """Look at the file now."""
        self.look()

    def look(self) -> None:
        """Read the file if it changed; what is wrong with it then goes to the log, and the keys before stay."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            if self.replace(read_keys(self._path)):
                logger.info("keys of %s were read again: %s", self._path, list(self._keys))
        except ConfigurationError as error:
            logger.error("%s The keys before stay.", error)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


class RemoteKeys(KeyRing):
    """The keys an issuer publishes (JWKS URL): kept, read again in the background, used on when it cannot be reached.

    A token that names a key which is not there has them read again, once in *min_interval* seconds at the most, however
    many such tokens come. The address is the service's own: nothing a token says leads to a request.

    Args:
        url: Where the key set is.
        fetch: Gets it; bounded in time and size.
        interval: Seconds until it is read again.
        min_interval: Seconds between two readings, whatever asks for them.

    Raises:
        ValueError: *url* is neither https nor on this machine.
    """

    def __init__(self, url: str, fetch: Fetch, *, interval: float = 300.0, min_interval: float = 30.0) -> None:
        super().__init__()
        self.url = secure_url(url)
        self._fetch = fetch
        self._interval = interval
        self._min_interval = min_interval
        self._not_before = float("-inf")
        self._wanted: asyncio.Event | None = None
        self._round: asyncio.Event | None = None
        self._reading = False

    def background(self, clock: Clock) -> tuple[str, Callable[[], Awaitable[None]]] | None:
        """Return what reads the keys, and again every *interval* seconds or when one is missing."""

        async def follow() -> None:
            wanted = self._wanted = asyncio.Event()
            try:
                while True:
                    fresh = bool(self.keys)
                    if self._reading and self._round is not None:
                        await self._round.wait()  # by a call that came before this began
                        fresh = bool(self.keys)
                    elif self._round is not None or clock.monotonic() >= self._not_before:
                        self._round = self._round or asyncio.Event()
                        self._not_before = clock.monotonic() + self._min_interval
                        fresh = await self._finish_round()
                    wanted.clear()
                    timer = clock.call_later(self._interval if fresh else self._min_interval, wanted.set)
                    try:
                        await wanted.wait()
                    finally:
                        timer.cancel()
            finally:
                self._wanted = None

        return f"keys of {self.url}", follow

    async def missing(self, clock: Clock) -> None:
        """Have the keys read again, unless they were a moment ago; a reading that is on its way is waited for.

        Raises:
            Unavailable: There are no keys at all yet, so that nothing can be judged.
        """
        if self._round is None and clock.monotonic() >= self._not_before:
            self._not_before = clock.monotonic() + self._min_interval
            self._round = asyncio.Event()
            if self._wanted is not None:
                self._wanted.set()
            else:  # outside a running service there is nobody else to do it
                await self._finish_round()
        if self._round is not None:
            await self._round.wait()
        if not self.keys:
            raise Unavailable(
                "Tokens cannot be checked at the moment: the issuer's keys cannot be had.",
                headers={"Retry-After": str(max(1, round(self._min_interval)))},
            )

    async def _finish_round(self) -> bool:
        self._reading = True
        try:
            return await self._read()
        finally:
            self._reading = False
            if self._round is not None:
                self._round.set()
                self._round = None

    async def _read(self) -> bool:
        try:
            answer = await self._fetch.get(self.url)
            if answer.status != 200:
                raise FetchFailed(f"it answered {answer.status}")
            changed = self.replace(keys_from_jwks(answer.body, strict=False))
        except (FetchFailed, UnusableKey) as error:
            kept = f"{len(self.keys)} keys read before are used on" if self.keys else "there are none to go on with"
            logger.warning("keys of %s cannot be had: %s; %s", self.url, error, kept)
            return False
        if changed:
            logger.info("keys of %s: %s", self.url, list(self.keys))
        return True


def _marks(keys: Iterable[Key]) -> list[tuple[str | None, str, frozenset[str]]]:
    return [(key.kid, key.mark, key.algorithms) for key in keys]
