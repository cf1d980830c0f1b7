"""What the how-tos about identity say, tried on the examples they show."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from seawall import Principal
from seawall.auth import Grant, TokenService, acting_as, secret_key
from seawall.testing.client import client

pytestmark = pytest.mark.anyio
Example = Callable[[str], ModuleType]
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def bearer(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, str]]:
    """Configure an issuer, and return what makes its tokens."""
    monkeypatch.setenv("SEAWALL_AUTH_ISSUER", "https://id.example")
    monkeypatch.setenv("SEAWALL_AUTH_AUDIENCE", '["shop"]')
    monkeypatch.setenv("SEAWALL_AUTH_SECRET", SECRET)
    issuer = TokenService(secret_key(SECRET), issuer="https://id.example", audience="shop")

    def make(subject: str = "ann", **granted: set[str]) -> dict[str, str]:
        grant = Grant(subject=subject, **{name: frozenset(names) for name, names in granted.items()})
        return {"authorization": f"Bearer {issuer.access_token(grant)}"}

    return make


async def test_tokens(example: Example, bearer: Callable[..., dict[str, str]]) -> None:
    service = example("identity/tokens.py").service
    async with client(service) as http:
        assert (await http.get("/me")).status_code == 401
        assert (await http.get("/me", headers=bearer())).json() == "ann"
        assert (await http.get("/products")).json() == ["tea"]
        assert (await http.get("/greeting")).json() == "Hello, stranger"
        assert (await http.get("/greeting", headers=bearer())).json() == "Hello, ann"
        assert (await http.get("/greeting", headers={"authorization": "Bearer x"})).status_code == 401
        assert (await http.get("/prices", headers=bearer())).json() == "those for ann"
        assert (await http.get("/prices", headers={**bearer(), "x-api-key": "forged"})).status_code == 401
        assert (await http.get("/openapi.json")).status_code == 200


async def test_authorisation(example: Example, bearer: Callable[..., dict[str, str]]) -> None:
    service = example("identity/authorisation.py").service
    async with client(service) as http:

        async def status(path: str, **granted: set[str]) -> int:
            return (await http.get(path, headers=bearer(**granted))).status_code

        assert await status("/admin/reports", roles={"owner"}) == 200
        assert await status("/admin/reports", roles={"customer"}) == 403
        assert await status("/export", scopes={"orders:read", "customers:read"}) == 200
        assert await status("/export", scopes={"orders:read"}) == 403
        assert await status("/me") == 200
        assert await status("/forgotten", roles={"owner"}) == 403
        assert [await status(f"/orders/{number}") for number in (1, 2)] == [200, 403]
        assert (await http.get("/orders/1")).status_code == 401


async def test_api_keys(example: Example) -> None:
    module = example("identity/keys.py")
    async with client(module.service) as http:
        first, _ = await module.keys.create("ann", scopes={"keys"})
        answer = await http.post("/keys", json={"name": "nightly"}, headers={"x-api-key": first})
        assert answer.status_code == 201
        made = answer.json()
        assert made["key"].startswith(f"shop_{made['prefix']}_")
        assert (await http.get("/stock", headers={"x-api-key": made["key"]})).json() == 7
        assert (await http.get("/stock", headers={"x-api-key": first})).status_code == 403
        with acting_as(Principal("bob", scopes=frozenset({"keys"}))), pytest.raises(Exception, match="no such key"):
            await module.service.call("revoke_key", prefix=made["prefix"])
        assert (await http.delete(f"/keys/{made['prefix']}", headers={"x-api-key": first})).status_code == 204


async def test_logging_in(example: Example) -> None:
    module = example("identity/sign_in.py")
    ann = {"username": "ann", "password": "correct horse"}
    async with client(module.service, base_url="https://shop.example") as http:
        await module.customers.join("ann", "correct horse")
        pair = (await http.post("/login", json=ann)).json()
        bearer = {"authorization": f"Bearer {pair['access_token']}"}
        assert (await http.get("/me", headers=bearer)).json() == "ann"
        machine = {"grant_type": "client_credentials", "client_id": "robot", "client_secret": module.robot_secret}
        assert (await http.post("/oauth/token", data=machine)).status_code == 200
        csrf = (await http.post("/session", json=ann)).json()["csrf_token"]
        assert (await http.get("/me")).json() == "ann"
        assert (await http.post("/log-out-everywhere")).status_code == 403
        assert (await http.post("/log-out-everywhere", headers={"x-csrf-token": csrf})).status_code == 204
        assert (await http.get("/me")).status_code == 401
        http.cookies.clear()
        assert (await http.get("/me", headers=bearer)).status_code == 401
