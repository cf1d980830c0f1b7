"""Starlette: its routes, query and responses, typed JSON in and out by msgspec."""

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.contenders.orders import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MIN_LIMIT,
    ROUTES,
    Item,
    NewOrder,
    place_order,
    view_order,
)

encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(NewOrder).decode


def json_response(value, status=200):
    return Response(encode(value), status, media_type="application/json")


async def read_order(request: Request) -> Response:
    try:
        limit = int(request.query_params.get("limit", DEFAULT_LIMIT))
    except ValueError as error:
        raise HTTPException(422, "limit: expected an integer") from error
    if not MIN_LIMIT <= limit <= MAX_LIMIT:
        raise HTTPException(422, "limit: expected 1 to 100")
    return json_response(view_order(request.path_params["order_id"], limit, request.query_params.get("q")))


async def create_order(request: Request) -> Response:
    try:
        order = decode_order(await request.body())
    except msgspec.ValidationError as error:
        raise HTTPException(422, str(error)) from error
    except msgspec.DecodeError as error:
        raise HTTPException(400, str(error)) from error
    return json_response(place_order(order), 201)


def item_reader(route: int):
    async def read_item(request: Request) -> Response:
        return json_response(Item(route, request.path_params["item_id"]))

    return read_item


app = Starlette(
    routes=[
        Route("/orders/{order_id:int}", read_order),
        Route("/orders", create_order, methods=["POST"]),
        *(Route(f"/r{n}/items/{{item_id:int}}", item_reader(n)) for n in range(ROUTES)),
    ]
)
