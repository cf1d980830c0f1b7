"""BlackSheep: its own routing and parameter binding, msgspec for typed JSON in and out."""

import msgspec
from blacksheep import Application, Content, Request, Response
from blacksheep.exceptions import BadRequest

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

app = Application()
encode = msgspec.json.Encoder().encode
decode_order = msgspec.json.Decoder(NewOrder).decode


def json_response(value, status=200):
    return Response(status, None, Content(b"application/json", encode(value)))


@app.router.get("/orders/{int:order_id}")
async def read_order(order_id: int, limit: int = DEFAULT_LIMIT, q: str | None = None) -> Response:
    if not MIN_LIMIT <= limit <= MAX_LIMIT:
        raise BadRequest("limit: expected 1 to 100")
    return json_response(view_order(order_id, limit, q))


@app.router.post("/orders")
async def create_order(request: Request) -> Response:
    try:
        order = decode_order(await request.read())
    except msgspec.DecodeError as error:
        raise BadRequest(str(error)) from error
    return json_response(place_order(order), 201)


def item_reader(route: int):
    async def read_item(item_id: int) -> Response:
        return json_response(Item(route, item_id))

    return read_item


for number in range(ROUTES):
    app.router.get(f"/r{number}/items/{{int:item_id}}")(item_reader(number))
