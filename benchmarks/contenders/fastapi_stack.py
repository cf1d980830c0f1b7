"""FastAPI with the libraries one takes for it: PyJWT, slowapi, structlog, asgi-correlation-id and the instrumentator.

Middleware of its own is plain ASGI, which is quicker than `@app.middleware`; the log is encoded by msgspec.
"""

import asyncio
import sys
import time
from typing import Annotated, Any

import jwt
import msgspec
import structlog
from asgi_correlation_id import CorrelationIdMiddleware, correlation_id
from fastapi import Depends, FastAPI, HTTPException, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_fastapi_instrumentator import Instrumentator
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded

from benchmarks.contenders import fastapi_app
from benchmarks.contenders.fastapi_app import NewOrder, OrderView, PlacedOrder
from benchmarks.contenders.identity import AUDIENCE, ISSUER, RATE, ROLE, SECRET, TIMEOUT

structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=lambda event, **_: msgspec.json.encode(event)),
    ],
    wrapper_class=structlog.make_filtering_bound_logger("info"),
    logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
    cache_logger_on_first_use=True,
)
logger = structlog.get_logger("access")


class AccessLine:
    """Gives each call a time limit, and a line in the log when it ends."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def noting(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(TIMEOUT):
                await self.app(scope, receive, noting)
        finally:
            user = scope.get("state", {}).get("user")
            logger.info(
                "request",
                request_id=correlation_id.get(),
                method=scope["method"],
                path=scope["path"],
                status=status,
                duration=time.perf_counter() - began,
                client=scope["client"][0],
                user=user["sub"] if user else None,
            )


bearer = HTTPBearer(auto_error=False)


async def customer(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]
) -> dict[str, Any]:
    """Return the claims of a valid token of a customer."""
    if credentials is None:
        raise HTTPException(401, "no token", {"WWW-Authenticate": "Bearer"})
    try:
        claims = jwt.decode(
            credentials.credentials,
            SECRET,
            algorithms=["HS256"],
            issuer=ISSUER,
            audience=AUDIENCE,
            options={"require": ["exp", "sub"]},
        )
    except jwt.InvalidTokenError as problem:
        raise HTTPException(401, str(problem), {"WWW-Authenticate": "Bearer"}) from None
    if ROLE not in claims.get("roles", ()):
        raise HTTPException(403, "not a customer")
    request.state.user = claims
    return claims


limiter = Limiter(key_func=lambda request: request.state.user["sub"])
app = FastAPI()
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
app.add_middleware(AccessLine)
app.add_middleware(CorrelationIdMiddleware)
Instrumentator().instrument(app).expose(app)
Customer = Annotated[dict[str, Any], Depends(customer)]


@app.get("/orders/{order_id}")
@limiter.limit(f"{RATE}/second")
async def read_order(
    request: Request,
    user: Customer,
    order_id: int,
    limit: Annotated[int, Query(ge=1, le=100)] = 10,
    q: str | None = None,
) -> OrderView:
    return await fastapi_app.read_order(order_id, limit, q)


@app.post("/orders", status_code=201)
@limiter.limit(f"{RATE}/second")
async def create_order(request: Request, user: Customer, order: NewOrder) -> PlacedOrder:
    return await fastapi_app.create_order(order)
