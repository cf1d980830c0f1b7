"""Browsers: sessions, what keeps other sites out, and sign-in by an external provider."""

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from seawall import Principal, Service
from seawall.auth import BearerTokens, Grant, HttpxFetch, KeyRing, OpenIdProvider, secret_key
from seawall.auth.memory import MemorySessions, MemorySignIns
from seawall.http.sessions import Sessions
from seawall.http.sign_in import provider_routes, session_routes
from seawall.testing import client
from support.provider import CALLBACK, Provider
from support.settings import settings
from support.tokens import AUDIENCE, ISSUER, SECRET, clock_at, make

pytestmark = pytest.mark.anyio


async def login(name, password, address):
    return Grant(subject=name, roles=frozenset({"customer"})) if password == "right" else None


def shop(**options):
    clock = clock_at()
    sessions = Sessions(MemorySessions(clock=clock), seconds=1000)
    tokens = BearerTokens(KeyRing([secret_key(SECRET)]), issuer=ISSUER, audience=AUDIENCE)
    service = Service("shop", auth=[tokens, sessions], settings=settings(), clock=clock)
    session_routes(service, sessions, login)

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    @service.post("/change")
    async def change(principal: Principal) -> str:
        return principal.subject

    return service, sessions, clock


ANN = {"username": "ann", "password": "right"}


def over_https(service):
    return client(service, base_url="https://shop.example")


async def test_a_session_from_login_to_logout():
    service, _, _ = shop()
    async with over_https(service) as http:
        assert (await http.get("/me")).status_code == 401
        assert 'Cookie realm="shop"' in (await http.get("/me")).headers["www-authenticate"]
        wrong = await http.post("/session", json={**ANN, "password": "wrong"})
        assert (wrong.status_code, http.cookies) == (401, httpx.Cookies())
        answer = await http.post("/session", json=ANN)
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-session=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=1000"} <= set(cookie.split("; "))
        assert answer.headers["cache-control"] == "no-store"
        token = answer.json()["csrf_token"]
        assert (await http.get("/me")).json() == "ann"
        assert (await http.get("/session")).json() == {"subject": "ann", "roles": ["customer"], "csrf_token": token}
        assert (await http.post("/change", headers={"x-csrf-token": token})).json() == "ann"
        held = dict(http.cookies)
        assert (await http.delete("/session", headers={"x-csrf-token": token})).status_code == 204
        assert not dict(http.cookies)
        assert (
            await http.get("/me", headers={"cookie": f"__Host-session={held['__Host-session']}"})
        ).status_code == 401


async def test_other_sites_can_do_nothing():
    service, _, _ = shop()
    async with over_https(service) as http:
        token = (await http.post("/session", json=ANN)).json()["csrf_token"]
        for headers in (
            {},
            {"x-csrf-token": "guessed"},
            {"x-csrf-token": ""},
            {"x-csrf-token": token, "sec-fetch-site": "cross-site"},
            {"x-csrf-token": token, "sec-fetch-site": "same-site"},
        ):
            answer = await http.post("/change", headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:problem-type:seawall:cross-site-request")
            assert (await http.delete("/session", headers=headers)).status_code == 403
        assert (await http.post("/session", json=ANN, headers={"sec-fetch-site": "cross-site"})).status_code == 403
        same = {"x-csrf-token": token, "sec-fetch-site": "same-origin"}
        assert (await http.post("/change", headers=same)).status_code == 200


async def test_tokens_need_no_csrf_token_and_do_not_make_up_for_one():
    service, _, _ = shop()
    bearer = {"authorization": f"Bearer {make()}"}
    async with over_https(service) as http:
        assert (await http.post("/change", headers=bearer)).status_code == 200
        await http.post("/session", json=ANN)
        assert (await http.post("/change", headers=bearer)).status_code == 403


async def test_sessions_end_and_are_new_with_every_login():
    service, sessions, clock = shop()
    async with over_https(service) as http:
        await http.post("/session", json=ANN)
        first = http.cookies["__Host-session"]
        await http.post("/session", json=ANN)
        assert http.cookies["__Host-session"] != first
        assert (await http.get("/me", headers={"cookie": f"__Host-session={first}"})).status_code == 401
        # A cookie that somebody else set (fixation) opens nothing, and is not taken over.
        http.cookies.clear()
        await http.post("/session", json=ANN, headers={"cookie": "__Host-session=chosen"})
        assert http.cookies["__Host-session"] != "chosen"
        assert await sessions.close_all("ann") == 2
        assert (await http.get("/me")).status_code == 401
        http.cookies.clear()
        await http.post("/session", json=ANN)
        clock.advance(1001)
        assert (await http.get("/me")).status_code == 401


# -- sign-in by a provider


@pytest.fixture
async def signing_in():
    provider, clock = Provider(), clock_at()
    outside = httpx.ASGITransport(provider.app)
    sessions = Sessions(MemorySessions(clock=clock))
    openid = OpenIdProvider(
        provider.issuer, "shop", "s:cret", MemorySignIns(), fetch=HttpxFetch(transport=outside), clock=clock
    )
    service = Service("shop", auth=sessions, settings=settings(), clock=clock)

    async def identify(claims):
        return Grant(subject=claims["email"]) if claims["email"] != "eve@example.com" else None

    provider_routes(service, openid, sessions, identify, callback_url=CALLBACK)

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with over_https(service) as http, httpx.AsyncClient(transport=outside) as browser:

        async def authorized(then="/"):
            there = await http.get("/sign-in", params={"then": then})
            assert there.status_code == 302
            back = await browser.get(there.headers["location"])
            return back.headers["location"]

        yield provider, clock, http, authorized


async def test_signing_in(signing_in):
    provider, _, http, authorized = signing_in
    there = await http.get("/sign-in")
    assert "SameSite=Lax" in there.headers["set-cookie"]
    asked = parse_qs(urlsplit(there.headers["location"]).query)
    assert len(asked["state"][0]) >= 43
    assert len(asked["nonce"][0]) >= 43
    back = await authorized("/orders?page=2")
    answer = await http.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/orders?page=2")
    assert (await http.get("/me")).json() == "ann@example.com"
    assert provider.requests == ["discover", "token", "keys"]
    again = await http.get(back)
    assert again.status_code == 401  # a code is used once
    assert (await http.get(await authorized())).status_code == 303
    assert provider.requests == ["discover", "token", "keys", "token"]


@pytest.mark.parametrize("then", ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "/\ta", ""])
async def test_nobody_is_led_elsewhere(signing_in, then):
    _, _, http, authorized = signing_in
    assert (await http.get(await authorized(then))).headers["location"] == "/"


async def test_what_another_browser_began(signing_in):
    _, _, http, authorized = signing_in
    back = await authorized()
    http.cookies.clear()
    assert (await http.get(back)).status_code == 401
    back = await authorized()
    assert (await http.get(back.replace("state=", "state=x"))).status_code == 401
    assert (await http.get("/sign-in/callback?state=x&code=y")).status_code == 401
    assert (await http.get("/sign-in/callback")).status_code == 422
    assert (await http.get("/me")).status_code == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "other"},
        {"aud": ["shop", "other"]},
        {"aud": ["shop", "other"], "azp": "other"},
        {"azp": "other"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"sub": None},
        {"email": "eve@example.com"},
    ],
)
async def test_id_tokens_that_let_nobody_in(signing_in, claims):
    provider, _, http, authorized = signing_in
    provider.claims = claims
    answer = await http.get(await authorized())
    assert answer.status_code == 401
    assert (await http.get("/me")).status_code == 401


async def test_answers_of_another_provider(signing_in):
    _, _, http, authorized = signing_in
    back = await authorized()
    assert (await http.get(back.replace("id.example", "evil.example"))).status_code == 401
    back = await authorized()
    assert (await http.get(back.partition("&iss=")[0])).status_code == 401  # it says that it names itself
    back = await authorized()
    state = parse_qs(urlsplit(back).query)["state"][0]
    denied = f"/sign-in/callback?state={state}&error=access_denied&iss=https://id.example"
    assert (await http.get(denied)).status_code == 401


async def test_a_flow_waits_ten_minutes(signing_in):
    _, clock, http, authorized = signing_in
    back = await authorized()
    clock.advance(601)
    assert (await http.get(back)).status_code == 401


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://169.254.169.254/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": 7},
    ],
)
async def test_a_discovery_document_that_is_not_believed(signing_in, metadata):
    provider, _, http, _ = signing_in
    provider.metadata = metadata
    answer = await http.get("/sign-in")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


async def test_a_provider_that_is_down_and_back(signing_in):
    provider, clock, http, authorized = signing_in
    provider.down = True
    assert (await http.get("/sign-in")).status_code == 503
    provider.down = False
    assert (await http.get(await authorized())).status_code == 303
    provider.down = True
    clock.advance(3601)
    assert (await http.get("/sign-in")).status_code == 302  # by what it said before
