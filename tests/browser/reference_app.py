"""A small service with a reference page, in a process of its own: ``python reference_app.py`` prints its port."""

from __future__ import annotations

import socket
from decimal import Decimal
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as Served

from seawall.http import reference
from seawall.http.binding import bind
from seawall.http.openapi import Info, document
from seawall.http.route import Route, parse_template
from seawall.operation import Policy, describe
from seawall.problems import NotFound


class Product(msgspec.Struct):
    """Something to buy."""

    id: int
    name: str
    price: Decimal


class NewProduct(msgspec.Struct):
    """Something to be sold."""

    name: str
    price: Decimal


async def read_product(product_id: int) -> Product:
    """Return a product.

    Args:
        product_id: Which one.
    """
    return Product(product_id, "Lamp", Decimal("19.90"))


async def create_product(product: NewProduct) -> Product:
    """Add a product.

    Example:
        {"name": "Chair", "price": "45.00"}
    """
    return Product(1, product.name, product.price)


def described(method: str, path: str, function: Any, status: int) -> Route:
    """Return the route of *function*."""
    operation = describe(function)
    template = parse_template(path, operation.where)
    return Route(
        method=method,
        template=template,
        operation=operation,
        policy=Policy(),
        bounds=bind(operation, method, template.names, frozenset()),
        status=status,
        tags=("products",),
        problems=(NotFound,),
    )


def application() -> Starlette:
    """Return the service."""
    whole = document(
        Info(title="Lamps & <chairs>", version="1.0"),
        [
            described("GET", "/products/{product_id}", read_product, 200),
            described("POST", "/products", create_product, 201),
        ],
    )
    files = reference.assets()

    async def openapi(_: Request) -> Response:
        return Response(msgspec.json.encode(whole), media_type="application/json")

    async def docs(_: Request) -> Response:
        return Response(
            reference.page("Lamps & <chairs>", "/openapi.json", names=files, accept="application/json; version=1"),
            headers={
                "content-type": reference.PAGE_TYPE,
                "content-security-policy": reference.page_policy(),
                "x-content-type-options": "nosniff",
                "cross-origin-opener-policy": "same-origin",
            },
        )

    async def asset(request: Request) -> Response:
        found = files[request.path_params["name"]]
        headers = {
            "content-type": found.content_type,
            "etag": found.etag,
            "cache-control": found.cache_control,
            "x-content-type-options": "nosniff",
        }
        return Response(found.content, headers=headers)

    async def product(request: Request) -> Response:
        value = await read_product(int(request.path_params["product_id"]))
        return Response(msgspec.json.encode(value), media_type="application/json")

    return Starlette(
        routes=[
            Served("/openapi.json", openapi),
            Served("/docs", docs),
            Served("/docs/assets/{name}", asset),
            Served("/products/{product_id}", product),
        ]
    )


def main() -> None:
    """Serve until told to stop."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)  # noqa: T201 - what the test waits for
        uvicorn.Server(uvicorn.Config(application(), log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
