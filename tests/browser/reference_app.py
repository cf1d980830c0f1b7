"""A small service with its reference page, in a process of its own: ``python reference_app.py`` prints its port."""

from __future__ import annotations

import socket
from decimal import Decimal

import msgspec

from seawall import NotFound, Service
from seawall.server import Endpoint, serve

service = Service("lamps", title="Lamps & <chairs>", version="1.0")
products = service.group("/products", tags=["products"])


class Product(msgspec.Struct):
    """Something to buy."""

    id: int
    name: str
    price: Decimal


class NewProduct(msgspec.Struct):
    """Something to be sold."""

    name: str
    price: Decimal


@products.get("/{product_id}", problems=[NotFound])
async def read_product(product_id: int) -> Product:
    """Return a product.

    Args:
        product_id: Which one.
    """
    return Product(product_id, "Lamp", Decimal("19.90"))


@products.post("", status=201)
async def create_product(product: NewProduct) -> Product:
    """Add a product.

    Example:
        {"name": "Chair", "price": "45.00"}
    """
    return Product(1, product.name, product.price)


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    print(listener.getsockname()[1], flush=True)
    serve(service, service.settings, Endpoint([listener], "http://127.0.0.1"))
