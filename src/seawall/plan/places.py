"""The one documented order of everything that stands around an operation."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Place"]


class Place(IntEnum):
    """Where a fragment stands in a plan; a lower one is further out and comes first.

    A fragment encloses everything after it: what it takes on the way in it gives back on the way out.
    """

    RECEIVE = 0
    """The carrier takes the request, makes the `Call` with its request id, and sends the answer."""
    RECORD = 50
    """Metrics, access line and span: outside `ANSWER`, so that every outcome is seen."""
    SEND = 60
    """An answer that is an application of its own (a file, a stream) is sent."""
    ANSWER = 75
    """Problems and errors become answers."""
    ARRIVE = 100
    """The request's own limits, trusted hosts and proxies, cross-origin rules."""
    ADMISSION = 200
    """Whether the service takes on more work at all."""
    CLIENT_LIMIT = 300
    """Rates by address."""
    AUTHENTICATE = 400
    """Who calls."""
    AUTHORISE = 500
    """Whether the caller may."""
    PRINCIPAL_LIMIT = 600
    """Rates by caller."""
    IDEMPOTENCY = 700
    """Answers given before under the same key."""
    CACHE = 800
    """Answers that are still fresh."""
    BIND = 900
    """The request's parts become typed arguments."""
    DEADLINE = 1000
    """How long the rest may take."""
    BULKHEAD = 1100
    """How many at once."""
    RETRY = 1150
    """What is further in is done again where that is safe and helps."""
    RESOURCES = 1200
    """What the operation works with, for the time of the call."""
    VALIDATE = 1300
    """Checks that need resources."""
    ENCODE = 1400
    """The result becomes bytes, while resources are still open."""
    OPERATION = 1500
    """The operation itself."""
