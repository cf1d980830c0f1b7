"""Scenario 21 over sockets: every attack on tokens is refused with 401, none with 500, and none leads to a request."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from support.server import serve
from support.tokens import claims, jwk, make, signed, unsigned

HERE = Path(__file__).parent


def now(**more):
    moment = int(time.time())
    return claims(**{"iat": moment - 10, "exp": moment + 600, **more})


def attacks():
    rsa = {"alg": "RS256", "kind": "RSA", "payload": now()}
    yield from (unsigned({"alg": alg, "typ": "at+jwt"}, now()) + b"." for alg in ("none", "None", "NONE", ""))
    public = json.dumps(jwk("RSA", kid="r", alg="RS256")).encode()
    yield from (make(now(), secret=public), make(now(), secret=public, kid="r"))
    for kid in (
        "../../../dev/null",
        "/dev/null",
        "' OR 1=1 --",
        "http://127.0.0.1:9/key",
        "\x00",
        "r\r\nx: y",
        "k" * 3000,
    ):
        yield make(now(), kid=kid, secret=b"")
    for name, value in (
        ("jwk", jwk("RSA")),
        ("jku", "http://127.0.0.1:9/jwks"),
        ("jku", "https://issuer.example@127.0.0.1:9/"),
        ("x5u", "http://127.0.0.1:9/x5u"),
        ("x5c", ["MIIB"]),
        ("crit", ["b64"]),
        ("crit", ["urn:none"]),
        ("cty", "JWT"),
    ):
        yield signed(**rsa, kid="r", **{name: value})
    for change in (
        {"aud": "bank"},
        {"aud": []},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"exp": "never"},
        {"nbf": int(time.time()) + 600},
        {"iat": int(time.time()) + 600},
        {"sub": None},
        {"sub": {"a": 1}},
    ):
        yield make(now(**change))
    for typ in ("JWT", "id_token", "logout+jwt", "dpop+jwt", None):
        yield make(now(), typ=typ)
    yield make(make(now()).encode())
    yield make(unsigned({"alg": "none"}, now()) + b".")
    yield make(now(), secret=b"\0" * 32)
    yield signed("ES256", "P-256", now(), kid="wrong use")
    yield signed("EdDSA", "Ed25519", now(), kid="wrong key_ops")
    yield from (make(now())[:-8], make(now()) + "A", make(now()).replace(".", ".."), "." * 100, "a" * 9000, "é" * 10)
    yield from (b"\xff\xfe", b"a, Bearer b", b"", b" ", b"{}", b"null")


KEYS = {
    "keys": [
        jwk("RSA", kid="r", alg="RS256", use="sig"),
        jwk("P-384", kid="e", alg="ES384", key_ops=["verify"]),
    ]
}


@pytest.fixture(scope="module")
def environment():
    return {"TEST_PUBLIC_JWKS": json.dumps(KEYS), "SEAWALL_AUTH_ALGORITHMS": '["HS256", "RS256", "ES384"]'}


def statuses(server):
    found = {}
    for attack in attacks():
        raw = attack if isinstance(attack, bytes) else attack.encode()
        reply = server.request("GET", "/me", headers=[("authorization", b"Bearer " + raw)])
        found[raw] = reply.status
    return found


@pytest.mark.parametrize("carrier", ["wire", "asgi"])
def test_every_attack_is_refused_and_asks_nobody(tmp_path, environment, carrier):
    with serve("guarded_app:create()", HERE, tmp_path / "log", SEAWALL_SERVER_CARRIER=carrier, **environment) as server:
        at_start = server.request("GET", "/connections").json()  # its own address, looked up to listen
        found = statuses(server)
        assert len(found) > 50
        assert {attack: status for attack, status in found.items() if status != 401} == {}
        for valid in (make(now()), signed("RS256", "RSA", now(), kid="r"), signed("ES384", "P-384", now(), kid="e")):
            # Twice: checked, and then known.
            for _ in range(2):
                reply = server.request("GET", "/me", headers=[("authorization", f"Bearer {valid}")])
                assert (reply.status, reply.body) == (200, b'"ann"')
        twice = [("authorization", f"Bearer {make(now())}")] * 2
        assert server.request("GET", "/me", headers=twice).status == 401
        assert server.request("GET", "/connections").json() == at_start
        assert "error" not in {json.loads(line).get("level") for line in server.log.read_text().splitlines()}


def test_without_the_guard_they_get_in(tmp_path, environment):
    with serve("guarded_app:unguarded()", HERE, tmp_path / "log", **environment) as server:
        found = statuses(server)
    assert list(found.values()).count(200) == len(found)
