"""Falcon (ASGI): its path converters and query helpers, typed JSON in and out by msgspec."""

import falcon
import falcon.asgi
import msgspec

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


class OrderResource:
    async def on_get(self, req, resp, order_id):
        limit = req.get_param_as_int("limit", min_value=MIN_LIMIT, max_value=MAX_LIMIT, default=DEFAULT_LIMIT)
        resp.data = encode(view_order(order_id, limit, req.get_param("q")))


class OrdersResource:
    async def on_post(self, req, resp):
        try:
            order = decode_order(await req.stream.read())
        except msgspec.ValidationError as error:
            raise falcon.HTTPUnprocessableEntity(description=str(error)) from error
        except msgspec.DecodeError as error:
            raise falcon.HTTPBadRequest(description=str(error)) from error
        resp.status = falcon.HTTP_201
        resp.data = encode(place_order(order))


class ItemResource:
    def __init__(self, route):
        self.route = route

    async def on_get(self, _req, resp, item_id):
        resp.data = encode(Item(self.route, item_id))


app = falcon.asgi.App()
app.add_route("/orders/{order_id:int}", OrderResource())
app.add_route("/orders", OrdersResource())
for number in range(ROUTES):
    app.add_route(f"/r{number}/items/{{item_id:int}}", ItemResource(number))
