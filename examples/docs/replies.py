"""What an operation can answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

from msgspec import Struct
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, StreamingResponse

from seawall import Call, Reply, Service, delete_cookie, set_cookie

service = Service("replies")
FOLDER = Path(__file__).parent


class Session(Struct):
    """Somebody's session."""

    user: str


# region: status
@service.post("/sessions", status=201)
async def sign_in() -> Session:
    """Answer 201, with a body."""
    return Session("ann")


@service.delete("/sessions/{user}")
async def sign_out(user: str) -> None:
    """Answer 204, without one: the result is None."""


# endregion


# region: reply
@service.post("/visits", status=201)
async def visit(*, again: bool = False) -> Reply[Session]:
    """Say more than the value: status, Location, header fields and cookies."""
    return Reply(
        Session("ann"),
        status=200 if again else 201,
        location="/visits/7",
        headers={"Cache-Control": "no-store"},
        cookies=[set_cookie("visit", "7", max_age=3600), delete_cookie("guest")],
    )


# endregion


# region: call
@service.get("/quota")
async def quota(call: Call) -> int:
    """Add a field to the answer from anywhere that has the call."""
    call.add_header("X-Quota", "42")
    return 42


# endregion


# region: responses
@service.get("/licence")
async def licence() -> FileResponse:
    """Send a file, in parts if the client asks for parts."""
    return FileResponse(FOLDER / "licence.txt", media_type="text/plain")


@service.get("/count")
async def count(to: int = 3) -> StreamingResponse:
    """Send a body as it is made."""

    async def lines() -> AsyncIterator[str]:
        for number in range(to):
            yield f"{number}\n"

    return StreamingResponse(lines(), media_type="text/plain")


@service.get("/pages/{name}")
async def page(name: str) -> Session | HTMLResponse | RedirectResponse:
    """Send a value, a page, or the client elsewhere."""
    if name == "home":
        return HTMLResponse("<h1>Home</h1>")
    if name == "old":
        return RedirectResponse("/pages/home", status_code=308)
    return Session(name)


# endregion
