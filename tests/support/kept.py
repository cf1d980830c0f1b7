"""Services whose operations count their calls and say of their answers what a test wants."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from seawall import Call, Guard, Place, Principal
from seawall.cache import CachePolicy
from seawall.settings import ServiceSettings, Settings
from support.exchange import Answer, exchange
from support.settings import service

__all__ = ["Origin", "Who", "fields", "get", "made", "status_of"]


class Who(Guard):
    """Believes what a header field says."""

    name = "who"
    place = Place.AUTHENTICATE

    async def check(self, call: Call) -> None:
        subject = call.header("x-subject")
        if subject is not None:
            call.principal = Principal(subject, roles=frozenset({"user"}))


def made(clock: Any, settings: Settings | None = None) -> Any:
    return service(clock=clock, settings=settings or Settings(service=ServiceSettings(docs=False)))


async def get(app: Any, path: str = "/x", method: str = "GET", **headers: str) -> Answer:
    target, _, query = path.partition("?")
    return await exchange(
        app, method, target, query, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )


def fields(answer: Answer) -> dict[bytes, bytes]:
    return dict(answer.raw_headers)


def status_of(answer: Answer) -> bytes:
    """Return what the cache says of an answer."""
    return fields(answer)[b"cache-status"].removeprefix(b"seawall; ")


class Origin:
    """An operation at ``/x`` that answers with what it is told, and remembers what it was asked.

    Args:
        clock: The test's clock.
        policy: Its cache policy.
        answers: Header fields of each answer in turn; the last one goes on.
    """

    def __init__(
        self,
        clock: Any,
        policy: CachePolicy | None,
        *answers: dict[str, str],
        settings: Settings | None = None,
        **options: Any,
    ) -> None:
        self.app = made(clock, settings)
        self.answers = list(answers)
        self.asked: list[dict[bytes, bytes]] = []
        self.statuses = [200]
        self.seconds = 0.0

        @self.app.get("/x", cache=policy, **options)
        async def read(call: Call, q: str = "") -> Response:
            self.asked.append(dict(call.metadata))
            number = len(self.asked)
            if self.seconds:
                await asyncio.sleep(self.seconds)
            status = self.statuses[min(number, len(self.statuses)) - 1]
            if status == 0:
                raise ConnectionError("the origin has gone")
            said = self.answers[min(number, len(self.answers)) - 1] if self.answers else {}
            body = b"" if status in (204, 304) else b"answer %d" % number
            return Response(body, status, said, media_type=None if not body else "text/plain")

    @property
    def kept(self) -> Any:
        """What is kept of the service's answers."""
        return self.app.build().composer.responses.kept

    @property
    def calls(self) -> int:
        return len(self.asked)

    async def get(self, path: str = "/x", method: str = "GET", **headers: str) -> Answer:
        return await get(self.app, path, method, **headers)
