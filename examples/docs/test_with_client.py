"""A test that is not async."""

from hello import service
from starlette.testclient import TestClient


def test_hello() -> None:
    """Somebody is greeted."""
    with TestClient(service) as client:
        answer = client.get("/hello/Ada")

    assert answer.json() == {"message": "Hello, Ada!"}
