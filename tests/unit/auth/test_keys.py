"""Keys: what may be used, and how an issuer's keys change: rotated, slow, huge, empty, gone."""

import asyncio
import json

import pytest

from seawall import ConfigurationError, Principal, Service, Unavailable
from seawall.auth import (
    BearerTokens,
    FileKeys,
    HttpxFetch,
    KeyRing,
    RemoteKeys,
    UnusableKey,
    jwks_document,
    keys_from_jwks,
    keys_from_pem,
    secret_key,
)
from seawall.auth.fetching import Fetched, FetchFailed, secure_url
from seawall.settings import AuthSettings, ServiceSettings, Settings
from seawall.testing import client
from support.tokens import AUDIENCE, ISSUER, SECRET, b64, claims, clock_at, jwk, key, make, signed

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
        (b"[" * 5000, "not JSON"),
        (b"[]", "no JSON object"),
        (b"{}", 'has no "keys"'),
        (b'{"keys": []}', "no key in it"),
        (b'{"keys": [7]}', "no JSON object"),
        ({"keys": [jwk("RSA", use="enc")]}, "its use is 'enc'"),
        ({"keys": [jwk("RSA", key_ops=["encrypt"])]}, "key_ops"),
        ({"keys": [jwk("RSA", key_ops="verify")]}, "key_ops"),
        ({"keys": [jwk("RSA", key_ops=["sign"])]}, "key_ops"),
        ({"keys": [jwk("RSA", alg="none")]}, "no signature algorithm"),
        ({"keys": [jwk("RSA", alg="ES256")]}, "cannot be used with ES256"),
        ({"keys": [jwk("P-256", alg="ES384")]}, "cannot be used with ES384"),
        ({"keys": [jwk("RSA", kid=7)]}, "kid is no text"),
        ({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}, "it has 17 bits"),
        ({"keys": [{"kty": "EC", "crv": "P-256", "x": "AQ", "y": "AQ"}]}, "numbers are no key"),
        ({"keys": [{"kty": "oct", "k": "c2hvcnQ"}]}, "has 5 bytes; HS256 takes 32"),
        ({"keys": [{"kty": "oct", "k": b64(b"a" * 32).decode(), "alg": "HS512"}]}, "HS512 takes 64"),
        ({"keys": [{"kty": "oct", "k": b64(b"a" * 32).decode(), "alg": "RS256"}]}, "takes no secret"),
        ({"keys": [{"kty": "oct", "k": 7}]}, "base64url"),
        ({"keys": [{"kty": "DSA"}]}, "signs no tokens"),
        ({"keys": [jwk("RSA")] * 101}, "at the most"),
    ],
)
def test_key_sets_that_cannot_be_used(document, why):
    with pytest.raises(UnusableKey, match=why):
        keys_from_jwks(document)


def test_a_weak_rsa_key_is_refused():
    from joserfc.jwk import RSAKey

    with pytest.warns(match="2048|insecure|Key|size"):
        weak = RSAKey.generate_key(1024)
    with pytest.raises(UnusableKey, match="it has 1024 bits"):
        keys_from_jwks(weak.as_dict(private=False))
    with pytest.raises(UnusableKey, match="it has 1024 bits"):
        keys_from_pem(weak.as_pem(private=False))


def test_others_keys_are_left_out_where_sets_are_not_ones_own():
    keys = keys_from_jwks({"keys": [jwk("RSA", use="enc"), jwk("P-256", kid="good"), 7]}, strict=False)
    assert [each.kid for each in keys] == ["good"]


def test_secrets_and_pem():
    with pytest.raises(UnusableKey, match="32 at the least"):
        secret_key("short")
    with pytest.raises(UnusableKey, match="PEM"):
        secret_key(key("RSA").as_pem(private=False))
    assert "0123" not in repr(secret_key(SECRET))
    for kind, algorithm in (("RSA", "RS256"), ("P-256", "ES256"), ("Ed25519", "EdDSA")):
        private, public = keys_from_pem(key(kind).as_pem(private=True)), keys_from_pem(key(kind).as_pem(private=False))
        assert public[0].verify(algorithm, b"data", private[0].sign(algorithm, b"data"))
        assert not public[0].verify(algorithm, b"other", private[0].sign(algorithm, b"data"))
        with pytest.raises(ValueError, match="cannot sign"):
            public[0].sign(algorithm, b"data")
    with pytest.raises(UnusableKey, match="no PEM block"):
        keys_from_pem("nothing")
    with pytest.raises(UnusableKey, match="cannot be read"):
        keys_from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----")


def test_what_is_published_is_public():
    keys = [*keys_from_pem(key("RSA").as_pem(private=True), kid="r", algorithms=["RS256"]), secret_key(SECRET)]
    document = jwks_document(keys)
    assert [(each["kid"], each["alg"], each["use"]) for each in document["keys"]] == [("r", "RS256", "sig")]
    assert not {"d", "p", "q", "k"} & set(document["keys"][0])
    assert keys_from_jwks(document)[0].mark == keys[0].mark


async def test_a_file_is_read_again_when_it_changes(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [jwk("RSA", kid="a")]}))
    ring, changes = FileKeys(path), []
    ring.on_change(lambda: changes.append(1))
    assert [each.kid for each in ring.keys] == ["a"]
    path.write_text(json.dumps({"keys": [jwk("RSA", kid="a"), jwk("P-256", kid="b")]}))
    await ring.missing(clock_at())
    assert [each.kid for each in ring.keys] == ["a", "b"]
    path.write_text("broken, and longer")
    ring.look()
    path.unlink()
    ring.look()
    assert [each.kid for each in ring.keys] == ["a", "b"]
    assert changes == [1]
    with pytest.raises(ConfigurationError, match="cannot be read"):
        FileKeys(path)


class Issuer:
    """An issuer's key set, as it is fetched."""

    def __init__(self, *keys):
        self.keys, self.fetches, self.answer, self.gate = list(keys), 0, None, None

    async def get(self, url, *, headers=None):
        self.fetches += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer or Fetched(200, json.dumps({"keys": self.keys}).encode())

    async def post(self, url, form, *, headers=None):
        raise AssertionError("keys are not posted")


def remote_shop(issuer, clock, **options):
    ring = RemoteKeys("https://issuer.example/keys", issuer, **options)
    scheme = BearerTokens(ring, issuer=ISSUER, audience=AUDIENCE)
    service = Service("shop", auth=scheme, clock=clock, settings=Settings(service=ServiceSettings(docs=False)))

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    return service, ring


def bearer(token):
    return {"authorization": f"Bearer {token}"}


async def test_rotation_without_a_restart(caplog):
    issuer, clock = Issuer(jwk("RSA", kid="1", alg="RS256")), clock_at()
    service, _ = remote_shop(issuer, clock)
    old, new = signed("RS256", "RSA", kid="1"), signed("ES256", "P-256", kid="2")
    async with client(service) as http:
        assert (await http.get("/me", headers=bearer(old))).json() == "ann"
        assert issuer.fetches == 1
        assert (await http.get("/me", headers=bearer(new))).status_code == 401
        issuer.keys = [jwk("P-256", kid="2", alg="ES256")]
        assert (await http.get("/me", headers=bearer(new))).status_code == 401  # once an interval, and it was just now
        assert issuer.fetches == 1
        clock.advance(31)
        assert (await http.get("/me", headers=bearer(new))).json() == "ann"
        assert issuer.fetches == 2
        # The key of the other one is gone: that it proved valid before does not count any more.
        assert (await http.get("/me", headers=bearer(old))).status_code == 401


async def test_unknown_kids_lead_to_one_request_an_interval():
    issuer, clock = Issuer(jwk("RSA", kid="1")), clock_at()
    service, _ = remote_shop(issuer, clock)
    async with client(service) as http:
        await http.get("/me", headers=bearer(signed("RS256", "RSA", kid="1")))
        clock.advance(31)
        for number in range(20):
            answer = await http.get("/me", headers=bearer(signed("RS256", "RSA", kid=f"made up {number}")))
            assert answer.status_code == 401
    assert issuer.fetches == 2


async def test_many_at_once_wait_for_one_reading():
    issuer, clock = Issuer(jwk("RSA", kid="1")), clock_at()
    issuer.gate = asyncio.Event()
    service, _ = remote_shop(issuer, clock)
    token = signed("RS256", "RSA", kid="1")
    async with client(service) as http:
        calls = [asyncio.create_task(http.get("/me", headers=bearer(token))) for _ in range(20)]
        await asyncio.sleep(0.02)
        issuer.gate.set()
        assert {(await each).status_code for each in calls} == {200}
    assert issuer.fetches == 1


@pytest.mark.parametrize(
    "answer",
    [
        FetchFailed("it is slow"),
        Fetched(200, b"<html>"),
        Fetched(200, b""),
        Fetched(200, b'{"keys": []}'),
        Fetched(500, b'{"keys": []}'),
        Fetched(302, b""),
    ],
)
async def test_an_outage(answer, caplog):
    issuer, clock = Issuer(jwk("RSA", kid="1")), clock_at()
    issuer.answer = answer
    service, _ = remote_shop(issuer, clock)
    token = signed("RS256", "RSA", kid="1")
    async with client(service) as http:
        early = await http.get("/me", headers=bearer(token))
        # Nobody can say whether the token is valid: that is neither 401 nor 500.
        assert early.status_code == 503
        assert early.headers["retry-after"] == "30"
        issuer.answer = None
        clock.advance(31)
        assert (await http.get("/me", headers=bearer(token))).status_code == 200
        issuer.answer = answer
        clock.advance(31)
        assert (await http.get("/me", headers=bearer(signed("RS256", "RSA", kid="9")))).status_code == 401
        assert (await http.get("/me", headers=bearer(token))).status_code == 200  # by the keys from before
        assert "1 keys read before are used on" in caplog.text


async def test_keys_outside_a_running_service():
    issuer = Issuer(jwk("RSA", kid="1"))
    ring = RemoteKeys("https://issuer.example/keys", issuer)
    await ring.missing(clock_at())
    assert [each.kid for each in ring.keys] == ["1"]
    issuer.answer = FetchFailed("down")
    with pytest.raises(Unavailable):
        await RemoteKeys("https://issuer.example/keys", issuer).missing(clock_at())


async def test_a_server_that_is_slow_huge_or_not_there():
    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.01)
        except ConnectionError:
            pass

    async def huge(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 100_000)
        writer.close()

    async def elsewhere(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    async def fetched(handler, **options):
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            return await HttpxFetch(**options).get(f"http://127.0.0.1:{port}/keys")
        finally:
            server.close()

    with pytest.raises(FetchFailed, match=r"no answer within 0\.2 s"):
        await fetched(slow, timeout=0.2)
    with pytest.raises(FetchFailed, match="longer than 50000"):
        await fetched(huge, max_bytes=50_000)
    assert (await fetched(elsewhere)).status == 302  # not followed
    with pytest.raises(FetchFailed):
        await HttpxFetch(timeout=1).get("http://127.0.0.1:9/keys")


@pytest.mark.parametrize(
    "url", ["http://issuer.example/keys", "file:///etc/passwd", "ftp://127.0.0.1/", "https:///x", ""]
)
async def test_addresses_that_are_not_asked(url):
    with pytest.raises(ValueError, match="not https"):
        secure_url(url)
    with pytest.raises(FetchFailed, match="not https"):
        await HttpxFetch().get(url)


def configured(**auth):
    service = Service("shop", auth=BearerTokens(), settings=Settings(auth=AuthSettings(**auth)), clock=clock_at())

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    return service


HERE = {"issuer": ISSUER, "audience": (AUDIENCE,)}


async def test_everything_from_the_settings(tmp_path):
    path = tmp_path / "key.pem"
    path.write_bytes(key("RSA").as_pem(private=False))
    for auth, token in (
        ({"secret": SECRET.decode()}, make()),
        ({"public_key": path.read_text()}, signed("RS256", "RSA")),
        ({"keys_file": str(path)}, signed("PS256", "RSA")),
        ({"secret": SECRET.decode(), "token_types": ("JWT",)}, make(typ="JWT")),
        ({"secret": SECRET.decode(), "token_types": ("*",)}, make(typ=None)),
    ):
        async with client(configured(**HERE, **auth)) as http:
            assert (await http.get("/me", headers=bearer(token))).json() == "ann"
    async with client(configured(**HERE, secret=SECRET.decode())) as http:
        assert (await http.get("/me", headers=bearer(make(claims(aud="bank"))))).status_code == 401


@pytest.mark.parametrize(
    ("auth", "message"),
    [
        ({}, "none of them is set"),
        ({"secret": "s" * 32, "public_key": "x"}, "secret and public_key are set"),
        ({"secret": "short"}, r"\[auth\] secret cannot be used: the secret has 5 bytes"),
        ({"public_key": "short"}, r"\[auth\] public_key cannot be used"),
        ({"keys_file": "/nowhere/keys.json"}, "/nowhere/keys.json.* cannot be read"),
        ({"jwks_url": "http://issuer.example/keys"}, r"\[auth\] jwks_url cannot be used: .* not https"),
        ({"secret": "s" * 32, "algorithms": ("RS256",)}, "only RS256"),
    ],
)
def test_wrong_settings_stop_the_start(auth, message):
    with pytest.raises(ConfigurationError, match=message):
        configured(**HERE, **auth).build()


def test_a_ring_without_the_same_keys_is_another():
    ring = KeyRing([secret_key(SECRET)])
    assert not ring.replace([secret_key(SECRET)])
    assert ring.replace([secret_key(SECRET, kid="named")])
