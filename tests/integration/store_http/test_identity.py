"""Customers, staff and machines in the store: who gets in, and to what."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.anyio

ANN = {"email": "ann@example.com", "name": "Ann", "password": "correct horse"}
BOB = {"email": "bob@example.com", "name": "Bob", "password": "battery staple"}
LAMP = {"sku": "LMP-1", "name": "Harbour Lamp", "category": "Lighting", "price": 12_905, "stock": 9}


async def joined(http, who):
    made = (await http.post("/users", json=who)).json()
    pair = await http.post("/login", json={"username": who["email"], "password": who["password"]})
    assert pair.status_code == 200, pair.text
    return made["id"], {"authorization": f"Bearer {pair.json()['access_token']}"}, pair.json()["refresh_token"]


async def test_customers_have_their_own_orders(http):
    product = (await http.post("/products", json=LAMP)).json()["id"]
    ann, as_ann, _ = await joined(http, ANN)
    bob, as_bob, _ = await joined(http, BOB)

    def order(customer):
        return {"customer_id": customer, "lines": [{"product_id": product, "quantity": 1}]}

    made = await http.post("/orders", json=order(ann), headers=as_ann)
    assert made.status_code == 201
    place = made.headers["location"]
    assert (await http.post("/orders", json=order(bob), headers=as_ann)).status_code == 403
    assert (await http.get(place, headers=as_ann)).status_code == 200
    assert (await http.get(place, headers=as_bob)).status_code == 403
    assert (await http.get(place)).status_code == 200  # staff
    assert (await http.post(f"{place}/cancellation", headers=as_bob)).status_code == 403
    found = await http.get("/orders", params={"customer_id": ann}, headers=as_ann)
    assert [each["id"] for each in found.json()["items"]] == [made.json()["id"]]
    assert (await http.get("/orders", headers=as_ann)).status_code == 403
    assert (await http.get("/orders", params={"customer_id": ann}, headers=as_bob)).status_code == 403
    assert (await http.get(f"/users/{ann}", headers=as_ann)).status_code == 200
    assert (await http.get(f"/users/{bob}", headers=as_ann)).status_code == 403
    assert (await http.post(f"{place}/cancellation", headers=as_ann)).status_code == 200
    for method, path in (("GET", "/users"), ("POST", "/products"), ("GET", "/dashboard"), ("GET", "/keys")):
        assert (await http.request(method, path, headers=as_ann)).status_code == 403, path


async def test_what_strangers_may(http):
    del http.headers["authorization"]
    for path in ("/products", "/", "/static/style.css", "/docs", "/openapi.json", "/health/live"):
        assert (await http.get(path)).status_code == 200, path
    closed = ("/users", "/users/1", "/orders", "/orders/1", "/dashboard", "/keys", "/admin/identity")
    for path in closed:
        answer = await http.get(path)
        assert answer.status_code == 401, path
        assert answer.headers["www-authenticate"].startswith('Bearer realm="storefront"')


async def test_machines_have_keys(http):
    made = (await http.post("/keys", json={"name": "nightly"})).json()
    machine = {"x-api-key": made["key"], "authorization": ""}
    del http.headers["authorization"]
    alone = {"x-api-key": made["key"]}
    assert (await http.get("/dashboard", headers=alone)).status_code == 200
    assert (await http.get("/orders", headers=alone)).status_code == 403
    assert (await http.get("/dashboard", headers={**machine, "authorization": "Bearer forged"})).status_code == 401
    assert (await http.get("/dashboard", headers={"x-api-key": made["key"] + "x"})).status_code == 401


async def test_staff_sees_and_takes_back_keys(http):
    made = (await http.post("/keys", json={"name": "nightly"})).json()
    await joined(http, ANN)
    assert (await http.get("/admin/identity")).json() == {"customers": 1, "with_password": 1, "keys": 1}
    listed = (await http.get("/keys")).json()
    assert [(key["prefix"], key["name"], key["revoked"]) for key in listed] == [(made["prefix"], "nightly", None)]
    assert made["key"] not in str(listed)
    assert (await http.delete(f"/keys/{made['prefix']}")).status_code == 204
    assert (await http.delete(f"/keys/{made['prefix']}")).status_code == 404
    assert (await http.get("/admin/identity")).json()["keys"] == 0


async def test_a_login_is_renewed_once(http):
    _, _, refresh = await joined(http, ANN)
    fresh = await http.post("/login/renewals", json={"refresh_token": refresh})
    assert fresh.status_code == 200
    assert (await http.post("/login/renewals", json={"refresh_token": refresh})).status_code == 401
    stolen = {"refresh_token": fresh.json()["refresh_token"]}
    assert (await http.post("/login/renewals", json=stolen)).status_code == 401
    wrong = await http.post("/login", json={"username": ANN["email"], "password": "wrong"})
    assert (wrong.status_code, wrong.json()["detail"]) == (401, "Name or password is not right.")
    # Nobody is staff where no password was set for staff.
    assert (await http.post("/login", json={"username": "staff", "password": "staff"})).status_code == 401
