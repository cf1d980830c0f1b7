"""What an operation says of its idempotency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seawall.idempotency.claims import OnOutage
from seawall.units import seconds

__all__ = ["Idempotency", "idempotency_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """How an operation keeps its answers: ``idempotent=Idempotency(required=False, wait="2s")``.

    Args:
        required: Whether a call without a key is refused with 400, or runs unprotected.
        retention: Seconds (or ``"24h"``) an answer is kept; None for the setting ``idempotency.retention``.
        wait: Seconds a call waits for another with its key that runs, before it is answered with 409; None for the
            setting ``idempotency.wait``.
        lease: Seconds after which a process that has not been heard of is taken for dead, and another call with the key
            runs; None for the setting ``idempotency.lease``, or a little more than the operation's timeout if that is
            longer. Of a call that runs the lease is renewed.
        on_outage: What becomes of calls with a key while the store cannot be reached: ``"closed"`` answers them with
            503, ``"open"`` runs them unprotected; None for the setting ``idempotency.on_outage``.

    Raises:
        ValueError: A time is none, or impossible, or there is no such *on_outage*.
    """

    required: bool = True
    retention: float | str | None = None
    wait: float | str | None = None
    lease: float | str | None = None
    on_outage: OnOutage | None = None

    def __post_init__(self) -> None:
        """Read the times."""
        for name in ("retention", "wait", "lease"):
            value = getattr(self, name)
            if value is None:
                continue
            read = seconds(value)
            if read <= 0 and name != "wait":
                raise ValueError(f"{name} must be more than 0 seconds")
            object.__setattr__(self, name, read)
        if self.on_outage not in (None, "closed", "open"):
            raise ValueError(f'on_outage must be "closed" or "open", not {self.on_outage!r}')


def idempotency_of(value: Any) -> Idempotency | None:
    """Return the rule that a policy option says.

    Raises:
        TypeError: It is none.
    """
    if value is None or value is False:
        return None
    if value is True:
        return Idempotency()
    if isinstance(value, Idempotency):
        return value
    raise TypeError("it must be True, False, or an Idempotency (import it from seawall.idempotency)")
