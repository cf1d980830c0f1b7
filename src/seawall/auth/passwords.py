"""Passwords: hashed with Argon2id (RFC 9106), compared in a time that tells nothing, and not as often as one likes."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from seawall.auth.issuing import Grant
from seawall.clock import Clock, SystemClock
from seawall.problems import ConfigurationError, TooManyRequests

__all__ = ["Account", "Accounts", "MemoryThrottle", "PasswordLogin", "Passwords", "Throttle"]

MOST_PASSWORD_BYTES = 1024


class Account(msgspec.Struct, frozen=True):
    """Somebody who logs in with a password.

    Args:
        grant: What they are granted.
        password: The hash that `Passwords.hash` made.
        active: Whether they may log in.
    """

    grant: Grant
    password: str
    active: bool = True


class Accounts(Protocol):
    """The service's own users, as far as logging in goes."""

    async def find(self, name: str) -> Account | None:
        """Return the account that logs in as *name*."""
        ...

    async def replace_password(self, subject: str, before: str, after: str) -> None:
        """Keep the hash *after* in the place of *before*, if that is still there: the same password, hashed better."""


ATTEMPTS, ATTEMPTS_OF_ADDRESS = 5, 50
"""How often one may try to log in, a minute."""


class Throttle(Protocol):
    """Counts attempts: `MemoryThrottle` in this process, `seawall.limit.attempts.Attempts` where limits are counted."""

    async def take(self, key: str) -> float:
        """Count one attempt under *key*; return 0, or the seconds to wait because there were too many."""
        ...

    async def forgive(self, key: str) -> None:
        """Forget the attempts under *key*: one succeeded."""


class MemoryThrottle:
    """Attempts in this process: *attempts* at once, then one each *per* / *attempts* seconds (GCRA).

    Args:
        attempts: How many at once.
        per: Seconds until as many are possible again.
        clock: What time it is.
        most: Keys that are counted; when there are more, those that count the least go.
    """

    def __init__(
        self, attempts: int = 5, per: float = 60.0, *, clock: Clock | None = None, most: int = 100_000
    ) -> None:
        self._step = per / attempts
        self._per = per
        self._clock = clock or SystemClock()
        self._most = most
        self._due: dict[str, float] = {}

    async def take(self, key: str) -> float:
        """Count one attempt; return 0, or the seconds to wait."""
        now = self._clock.monotonic()
        due = max(self._due.get(key, now), now)
        wait = due + self._step - self._per - now
        if wait > 1e-3:
            return wait
        if key not in self._due and len(self._due) >= self._most:
            self._tidy(now)
        self._due[key] = due + self._step
        return 0.0

    async def forgive(self, key: str) -> None:
        """Forget the attempts under *key*."""
        self._due.pop(key, None)

    def _tidy(self, now: float) -> None:
        over = [key for key, due in self._due.items() if due <= now]
        for key in over or sorted(self._due, key=self._due.__getitem__)[: max(1, self._most // 4)]:
            del self._due[key]


class Passwords:
    """Hashes passwords and compares them, in threads: one comparison takes a core some 30 ms and its memory.

    The defaults are the second recommendation of RFC 9106 §4: 64 MiB, 3 passes, 4 lanes.

    Args:
        memory_kib: Memory of one hash.
        passes: How often it is gone over.
        lanes: How many parts of it are independent.
        at_once: Hashes that are made at the same time; others wait, so that a flood of logins is no flood of memory.
    """

    def __init__(self, *, memory_kib: int = 65_536, passes: int = 3, lanes: int = 4, at_once: int = 4) -> None:
        self._parameters: dict[str, Any] = {"memory_cost": memory_kib, "time_cost": passes, "parallelism": lanes}
        self._at_once = at_once
        self._free: asyncio.Semaphore | None = None
        self._loop: Any = None
        self._hasher: Any = None
        self._decoy = ""

    async def hash(self, password: str) -> str:
        """Return what to keep of *password*.

        Raises:
            ValueError: It is empty, or longer than 1,024 bytes.
        """
        raw = _prepared(password)
        if not raw or len(raw) > MOST_PASSWORD_BYTES:
            raise ValueError(f"a password has 1 to {MOST_PASSWORD_BYTES} bytes")
        result: str = await self._run(self._argon2().hash, raw)
        return result

    async def verify(self, kept: str | None, password: str) -> bool:
        """Return whether *password* is the one *kept* was made of; with None, False after as long a time."""
        raw = _prepared(password)
        if len(raw) > MOST_PASSWORD_BYTES:
            raw, kept = b"too long", None
        hasher = self._argon2()
        if kept is None:
            if not self._decoy:
                self._decoy = await self._run(hasher.hash, b"nobody's password")
            await self._run(_matches, hasher, self._decoy, raw)
            return False
        result: bool = await self._run(_matches, hasher, kept, raw)
        return result

    def is_outdated(self, kept: str) -> bool:
        """Return whether *kept* was made with other parameters than are used now."""
        return bool(self._argon2().check_needs_rehash(kept))

    def _argon2(self) -> Any:
        if self._hasher is None:
            try:
                from argon2 import PasswordHasher  # noqa: PLC0415 - an extra
            except ImportError:
                raise ConfigurationError("passwords need argon2-cffi: pip install 'seawall[auth]'.") from None
            self._hasher = PasswordHasher(**self._parameters)
        return self._hasher

    async def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        if self._free is None or self._loop is not loop:
            self._free, self._loop = asyncio.Semaphore(self._at_once), loop
        async with self._free:
            return await asyncio.to_thread(function, *arguments)


def _matches(hasher: Any, kept: str, raw: bytes) -> bool:
    from argon2.exceptions import InvalidHashError, VerificationError  # noqa: PLC0415 - an extra

    try:
        return bool(hasher.verify(kept, raw))
    except (VerificationError, InvalidHashError):
        return False


def _prepared(password: str) -> bytes:
    """Return the bytes of a password: one way to write each letter, whatever keyboard it came from (RFC 8265 §4.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


class PasswordLogin:
    """Logging in with name and password.

    Whether there is no such account, it is closed or the password is wrong, the answer and the time it takes are the
    same. Attempts are counted by name and by address; one that succeeds forgives those of the name.

    Args:
        accounts: The service's users.
        passwords: Hashes and compares.
        throttle: Counts attempts by name; by default five a minute.
        address_throttle: Counts attempts by address, behind which there may be many; by default, fifty a minute.
        clock: What time it is, for the default throttles. These count in this process until `count_in` says where.
    """

    def __init__(
        self,
        accounts: Accounts,
        passwords: Passwords | None = None,
        throttle: Throttle | None = None,
        *,
        address_throttle: Throttle | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._accounts = accounts
        self._passwords = passwords or Passwords()
        self._names = throttle or MemoryThrottle(ATTEMPTS, clock=clock)
        self._addresses = address_throttle or MemoryThrottle(ATTEMPTS_OF_ADDRESS, clock=clock)
        self._given = throttle is not None, address_throttle is not None

    def count_in(self, make: Callable[[int, str], Throttle]) -> None:
        """Count attempts elsewhere than in this process, unless throttles were given; the routes of a service do this.

        Args:
            make: Returns what counts so many attempts a minute; told their name.
        """
        names, addresses = self._given
        if not names:
            self._names = make(ATTEMPTS, "log in by name")
        if not addresses:
            self._addresses = make(ATTEMPTS_OF_ADDRESS, "log in by address")

    async def __call__(self, name: str, password: str, address: str | None = None) -> Grant | None:
        """Return what the account is granted, or None if this does not open it.

        Raises:
            TooManyRequests: There were too many attempts for this name, or from this address.
        """
        key = f"name {name[:320].casefold()}"
        counted = [(self._names, key)] + ([(self._addresses, f"address {address}")] if address else [])
        for throttle, each in counted:
            wait = await throttle.take(each)
            if wait > 0:
                problem = TooManyRequests(
                    "There were too many attempts to log in; wait a little.",
                    headers={"Retry-After": str(max(1, int(wait + 0.999)))},
                )
                problem.guard = "login"
                raise problem
        account = await self._accounts.find(name)
        right = await self._passwords.verify(account.password if account else None, password)
        if account is None or not right or not account.active:
            return None
        await self._names.forgive(key)
        if self._passwords.is_outdated(account.password):
            better = await self._passwords.hash(password)
            await self._accounts.replace_password(account.grant.subject, account.password, better)
        return account.grant
