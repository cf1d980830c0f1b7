"""Issuing: tokens, their renewal, what a stolen one leads to; passwords; clients; API keys; Basic."""

import base64
from dataclasses import dataclass, field

import pytest

from seawall import Principal, Service, TooManyRequests
from seawall.auth import (
    Account,
    ApiKeys,
    Basic,
    BearerTokens,
    Client,
    FixedClients,
    Grant,
    InvalidGrant,
    KeyRing,
    KeyScheme,
    MemoryThrottle,
    PasswordLogin,
    Passwords,
    RevocationList,
    TokenRules,
    TokenService,
    TokenVerifier,
    digest,
    keys_from_pem,
    new_secret,
    secret_key,
)
from seawall.auth.basic import decode_basic
from seawall.auth.memory import MemoryApiKeys, MemoryRefreshTokens, MemoryRevocations
from seawall.http.sign_in import key_routes, login_routes, token_routes
from seawall.testing import client
from support.settings import settings
from support.tokens import AUDIENCE, ISSUER, SECRET, clock_at, key

pytestmark = pytest.mark.anyio

ANN = Grant(subject="ann", roles=frozenset({"customer"}), scopes=frozenset({"read", "write"}))
QUICK = {"memory_kib": 64, "passes": 1, "lanes": 1}


def service_of(clock, **options):
    revoked = RevocationList(MemoryRevocations(clock))
    options.setdefault("refresh_tokens", MemoryRefreshTokens(clock=clock))
    made = TokenService(
        secret_key(SECRET, kid="1"), issuer=ISSUER, audience=AUDIENCE, revoked=revoked, clock=clock, **options
    )
    rules = TokenRules(issuer=ISSUER, audience=frozenset({AUDIENCE}))
    check = TokenVerifier(KeyRing([secret_key(SECRET, kid="1")]), rules, clock, revoked)
    return made, lambda pair: check(pair.access_token.encode())[0]


async def test_what_is_issued_is_accepted_and_renewed():
    clock = clock_at()
    tokens, check = service_of(clock)
    first = await tokens.issue(ANN)
    principal = check(first)
    assert (principal.subject, principal.roles, principal.scopes) == ("ann", {"customer"}, {"read", "write"})
    assert first.expires_in == 300
    clock.advance(200)
    second = await tokens.refresh(first.refresh_token)
    assert check(second).claims["exp"] > check(first).claims["exp"]
    narrowed = await tokens.refresh(second.refresh_token, ["read"])
    assert (check(narrowed).scopes, narrowed.scope) == ({"read"}, "read")
    assert check(await tokens.refresh(narrowed.refresh_token)).scopes == {"read", "write"}


async def test_using_a_token_twice_ends_its_family():
    tokens, _ = service_of(clock_at())
    first, other = await tokens.issue(ANN), await tokens.issue(ANN)
    second = await tokens.refresh(first.refresh_token)
    for token in (first, second):  # the thief's, and then its owner's, whoever came first
        with pytest.raises(InvalidGrant):
            await tokens.refresh(token.refresh_token)
    assert await tokens.refresh(other.refresh_token)


async def test_a_login_ends_however_often_it_is_renewed():
    clock = clock_at()
    tokens, _ = service_of(clock, refresh_seconds=1000)
    pair = await tokens.issue(ANN)
    clock.advance(900)
    pair = await tokens.refresh(pair.refresh_token)
    clock.advance(101)
    with pytest.raises(InvalidGrant):
        await tokens.refresh(pair.refresh_token)


@pytest.mark.parametrize("token", ["", ".", "a", "a.", ".b", "a.b", "a.b.c", "é.é", "x" * 600 + ".y", "\udcff.b"])
async def test_refresh_tokens_that_are_none(token):
    tokens, _ = service_of(clock_at())
    with pytest.raises(InvalidGrant):
        await tokens.refresh(token)
    await tokens.revoke(token)


async def test_a_stolen_token_at_another_client_ends_the_family():
    tokens, _ = service_of(clock_at())
    pair = await tokens.issue(Grant(subject="ann", client="app"))
    with pytest.raises(InvalidGrant):
        await tokens.refresh(pair.refresh_token, client="other")
    with pytest.raises(InvalidGrant):
        await tokens.refresh(pair.refresh_token, client="app")


async def test_roles_are_looked_up_again_and_closed_accounts_end():
    granted = {"ann": Grant(subject="ann", roles=frozenset({"staff"}))}

    async def regrant(grant):
        return granted.get(grant.subject)

    tokens, check = service_of(clock_at(), regrant=regrant)
    pair = await tokens.refresh((await tokens.issue(ANN)).refresh_token)
    assert check(pair).roles == {"staff"}
    granted.clear()
    with pytest.raises(InvalidGrant):
        await tokens.refresh(pair.refresh_token)


async def test_logging_out():
    clock = clock_at()
    tokens, check = service_of(clock)
    pair, other = await tokens.issue(ANN), await tokens.issue(ANN)
    await tokens.revoke(pair.refresh_token)
    with pytest.raises(InvalidGrant):
        await tokens.refresh(pair.refresh_token)
    await tokens.revoke_token(check(pair).claims["jti"])
    with pytest.raises(ValueError, match="revoked"):
        check(pair)
    assert check(other)
    await tokens.revoke_subject("ann")
    with pytest.raises(ValueError, match="revoked"):
        check(other)
    with pytest.raises(InvalidGrant):
        await tokens.refresh(other.refresh_token)
    clock.advance(1)
    assert check(await tokens.issue(ANN))


async def test_the_key_is_rotated_without_an_invalid_token_in_between():
    clock = clock_at()
    old = keys_from_pem(key("RSA").as_pem(private=True), kid="old", algorithms=["RS256"])[0]
    new = keys_from_pem(key("P-256").as_pem(private=True), kid="new", algorithms=["ES256"])[0]
    ring = KeyRing([old])
    tokens = TokenService(old, issuer=ISSUER, audience=AUDIENCE, clock=clock)
    check = TokenVerifier(ring, TokenRules(issuer=ISSUER, audience=frozenset({AUDIENCE})), clock)
    before = await tokens.issue(ANN)
    ring.replace([old, new])
    tokens.rotate_key(new)
    after = await tokens.issue(ANN)
    for pair in (before, after):
        assert check(pair.access_token.encode())
    ring.replace([new])
    assert check(after.access_token.encode())
    with pytest.raises(ValueError, match="key that is not known"):
        check(before.access_token.encode())
    public = keys_from_pem(key("RSA").as_pem(private=False), algorithms=["RS256"])[0]
    with pytest.raises(ValueError, match="cannot sign"):
        TokenService(public, issuer=ISSUER, audience=AUDIENCE)
    with pytest.raises(ValueError, match="say which"):
        TokenService(keys_from_pem(key("RSA").as_pem(private=True))[0], issuer=ISSUER, audience=AUDIENCE)


# -- passwords


@dataclass
class Users:
    accounts: dict[str, Account] = field(default_factory=dict)
    replaced: list[tuple[str, str, str]] = field(default_factory=list)

    async def find(self, name):
        return self.accounts.get(name)

    async def replace_password(self, subject, before, after):
        self.replaced.append((subject, before, after))


async def test_logging_in_with_a_password():
    passwords = Passwords(**QUICK)
    kept = await passwords.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert await passwords.hash("correct horse") != kept
    users = Users({"ann": Account(ANN, kept), "bob": Account(Grant(subject="bob"), kept, active=False)})
    login = PasswordLogin(users, passwords, clock=clock_at())
    assert await login("ann", "correct horse") == ANN
    assert await login("ann", "wrong") is None
    assert await login("ann", "x" * 5000) is None
    assert await login("bob", "correct horse") is None
    assert await login("eve", "correct horse") is None
    assert users.replaced == []
    stronger = PasswordLogin(users, Passwords(memory_kib=128, passes=1, lanes=1), clock=clock_at())
    assert await stronger("ann", "correct horse") == ANN
    assert [(subject, before) for subject, before, _ in users.replaced] == [("ann", kept)]
    assert "m=128" in users.replaced[0][2]


async def test_unknown_users_take_as_much_work():
    """Not the time, which a busy machine decides: what is computed is the same."""
    passwords = Passwords(**QUICK)
    kept = await passwords.hash("p")
    await passwords.verify(None, "warm")
    done = []
    hasher = passwords._argon2()

    class Counting:
        def verify(self, kept, raw):
            done.append(kept.rsplit("$", 2)[0])
            return hasher.verify(kept, raw)

    passwords._hasher = Counting()
    await passwords.verify(kept, "wrong")
    await passwords.verify(None, "wrong")
    await passwords.verify(kept, "x" * 5000)
    assert len(done) == 3
    assert len(set(done)) == 1  # the same parameters


async def test_one_way_to_write_a_password():
    passwords = Passwords(**QUICK)
    assert await passwords.verify(await passwords.hash("caf\u00e9"), "cafe\u0301")
    assert not await passwords.verify("no hash at all", "p")
    for password in ("", "x" * 2000):
        with pytest.raises(ValueError, match="1 to 1024 bytes"):
            await passwords.hash(password)


async def test_attempts_are_counted():
    clock = clock_at()
    passwords = Passwords(**QUICK)
    users = Users({"ann": Account(ANN, await passwords.hash("right"))})
    login = PasswordLogin(users, passwords, clock=clock)
    for _ in range(5):
        assert await login("ann", "wrong") is None
    for password in ("wrong", "right"):
        with pytest.raises(TooManyRequests) as caught:
            await login("ANN", password)
        assert (caught.value.headers["Retry-After"], caught.value.guard) == ("12", "login")
    assert await login("bob", "wrong") is None
    clock.advance(12)
    assert await login("ann", "right") == ANN
    for _ in range(5):  # forgiven
        assert await login("ann", "wrong") is None
    for number in range(50):
        await login(f"user {number}", "wrong", "192.0.2.1")
    with pytest.raises(TooManyRequests):
        await login("another", "wrong", "192.0.2.1")
    assert await login("another", "wrong", "192.0.2.2") is None


async def test_the_throttle_is_bounded():
    throttle = MemoryThrottle(1, 60, clock=clock_at(), most=100)
    for number in range(1000):
        await throttle.take(str(number))
    assert len(throttle._due) <= 100


# -- over HTTP


@pytest.fixture
async def shop():
    clock = clock_at()
    passwords = Passwords(**QUICK)
    tokens, _ = service_of(clock)
    users = Users({"ann": Account(ANN, await passwords.hash("right"))})
    secret = new_secret()
    clients = FixedClients(
        [
            Client(id="robot", secret=digest(secret), machine=True, scopes=frozenset({"read"})),
            Client(id="app"),
            Client(id=""),
        ]
    )
    scheme = BearerTokens(KeyRing([secret_key(SECRET, kid="1")]), issuer=ISSUER, audience=AUDIENCE)
    service = Service("shop", auth=scheme, settings=settings(), clock=clock)
    login_routes(service, tokens, PasswordLogin(users, passwords, clock=clock))
    token_routes(service, tokens, clients, throttle=MemoryThrottle(3, clock=clock))
    key_routes(service, lambda: keys_from_pem(key("RSA").as_pem(private=True), kid="r"))

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with client(service) as http:
        yield http, tokens, secret


async def test_login_over_http(shop):
    http, _, _ = shop
    answer = await http.post("/login", json={"username": "ann", "password": "right"})
    assert answer.headers["cache-control"] == "no-store"
    pair = answer.json()
    assert pair["token_type"] == "Bearer"
    assert (await http.get("/me", headers={"authorization": f"Bearer {pair['access_token']}"})).json() == "ann"
    wrong = await http.post("/login", json={"username": "ann", "password": "wrong"})
    unknown = await http.post("/login", json={"username": "eve", "password": "wrong"})
    assert wrong.status_code == unknown.status_code == 401
    assert {k: v for k, v in wrong.json().items() if k != "request_id"} == {
        k: v for k, v in unknown.json().items() if k != "request_id"
    }
    for _ in range(5):
        last = await http.post("/login", json={"username": "bob", "password": "wrong"})
    last = await http.post("/login", json={"username": "bob", "password": "wrong"})
    assert (last.status_code, last.headers["retry-after"]) == (429, "12")
    assert (await http.post("/login", json={"username": "ann"})).status_code == 422


async def test_the_token_endpoint(shop):
    http, tokens, secret = shop
    basic = "Basic " + base64.b64encode(f"robot:{secret}".encode()).decode()

    async def ask(authorization=None, **form):
        headers = {"authorization": authorization} if authorization else {}
        answer = await http.post("/oauth/token", data=form, headers=headers)
        assert answer.headers["cache-control"] == "no-store"
        return answer.status_code, answer.json()

    status, pair = await ask(basic, grant_type="client_credentials")
    assert (status, pair["scope"], "refresh_token" in pair) == (200, "read", False)
    assert (await http.get("/me", headers={"authorization": f"Bearer {pair['access_token']}"})).json() == "robot"
    assert (await ask(grant_type="client_credentials", client_id="robot", client_secret=secret))[0] == 200
    for expected, form in (
        ((400, "invalid_scope"), {"grant_type": "client_credentials", "scope": "admin", "authorization": basic}),
        ((400, "unsupported_grant_type"), {"grant_type": "password", "authorization": basic}),
        ((400, "invalid_request"), {"grant_type": "refresh_token", "authorization": basic}),
        ((400, "invalid_grant"), {"grant_type": "refresh_token", "refresh_token": "a.b", "authorization": basic}),
        ((400, "unauthorized_client"), {"grant_type": "client_credentials", "client_id": "app"}),
        ((401, "invalid_client"), {"grant_type": "client_credentials"}),
        ((401, "invalid_client"), {"grant_type": "client_credentials", "client_id": "robot"}),
        ((401, "invalid_client"), {"grant_type": "client_credentials", "client_id": "app", "client_secret": "x"}),
        ((401, "invalid_client"), {"grant_type": "client_credentials", "authorization": "Basic ???"}),
    ):
        status, document = await ask(**form)
        assert (status, document["error"]) == expected, form
    issued = await tokens.issue(Grant(subject="ann", client="app"))
    status, pair = await ask(grant_type="refresh_token", refresh_token=issued.refresh_token, client_id="app")
    assert status == 200
    assert (
        await http.post("/oauth/revoke", data={"token": pair["refresh_token"], "client_id": "app"})
    ).status_code == 200
    status, document = await ask(grant_type="refresh_token", refresh_token=pair["refresh_token"], client_id="app")
    assert (status, document["error"]) == (400, "invalid_grant")
    for _ in range(4):
        answer = await http.post("/oauth/token", data={"grant_type": "client_credentials", "client_id": "guess"})
    assert answer.status_code == 429
    assert (await http.get("/.well-known/jwks.json")).json()["keys"][0]["kid"] == "r"


# -- API keys and Basic


async def test_api_keys():
    clock, store = clock_at(), MemoryApiKeys()
    keys = ApiKeys(store, label="shop", clock=clock)
    made, kept = await keys.create("robot", name="nightly", scopes={"read"}, roles={"machine"}, seconds=1000)
    assert made.startswith(f"shop_{kept.prefix}_")
    assert made.rpartition("_")[2] not in str(kept)
    service = Service("shop", auth=KeyScheme(store), settings=settings(), clock=clock)

    @service.get("/me", scopes={"read"})
    async def me(principal: Principal) -> list[str]:
        return [principal.subject, *principal.roles]

    async with client(service) as http:

        async def status(sent):
            return (await http.get("/me", headers={"x-api-key": sent})).status_code

        assert (await http.get("/me", headers={"x-api-key": made})).json() == ["robot", "machine"]
        assert (await store.find(kept.prefix)).last_used == clock.time()
        for sent in ("", "x", made + "x", made[:-1] + ("A" if made[-1] != "A" else "B"), f"shop_{'0' * 16}_{'a' * 43}"):
            assert await status(sent) == 401, sent
        assert (await http.get("/me", headers=[("x-api-key", made), ("x-api-key", made)])).status_code == 401
        assert (await http.get("/me")).headers["www-authenticate"] == 'ApiKey realm="shop", header="X-API-Key"'
        clock.advance(6)
        assert await status(made) == 200
        assert await keys.revoke(kept.prefix)
        assert not await keys.revoke(kept.prefix)
        clock.advance(6)
        assert await status(made) == 401
        second, _ = await keys.create("robot", seconds=10, scopes={"read"})
        assert await status(second) == 200
        clock.advance(10)
        assert await status(second) == 401
        third, _ = await keys.create("robot")
        assert await status(third) == 403
    assert [key.name for key in await keys.list("robot")][-1] == "nightly"
    with pytest.raises(ValueError, match="label"):
        ApiKeys(store, label="No")


async def test_basic():
    asked = []

    async def login(name, password, address):
        asked.append((name, password))
        return Grant(subject=name) if password == "r:ght" else None

    service = Service("shop", auth=Basic(login), settings=settings(), clock=clock_at())

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    def sent(text):
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async with client(service) as http:
        for _ in range(3):
            assert (await http.get("/me", headers=sent("jörg:r:ght"))).json() == "jörg"
        assert asked == [("jörg", "r:ght")]
        assert (await http.get("/me", headers=sent("ann:wrong"))).status_code == 401
        assert (await http.get("/me")).headers["www-authenticate"] == 'Basic realm="shop", charset="UTF-8"'
        for bad in ("Basic", "Basic ", "Basic !!!", "Basic YQ==", "Basic " + "YTpi" * 2000):
            assert (await http.get("/me", headers={"authorization": bad})).status_code == 401


def test_basic_fields():
    assert decode_basic(b"basic YTpi") == ("a", "b")
    assert decode_basic(b"Basic Ojo=") == ("", ":")
    for bad in (b"Basic YQ", b"Basic YWI=", b"Basic /zov", b"Basic YTpi\n", b"Basic YQo6Yg==", b"Bearer YTpi"):
        assert decode_basic(bad) is None
