"""Who may call: 401 against 403, one or several schemes, predicates, what the document and the log say."""

import logging
from types import MappingProxyType

import pytest

from seawall import ConfigurationError, DeclarationError, Guard, NotFound, Place, Principal, Problem, Service
from seawall.auth import ANONYMOUS, Basic, BearerTokens, Grant, KeyRing, KeyScheme, acting_as, authenticated, secret_key
from seawall.auth.api_keys import ApiKeys
from seawall.auth.memory import MemoryApiKeys
from seawall.auth.scheme import Scheme
from seawall.call import current_call
from seawall.clock import Clock
from seawall.settings import AuthSettings, ServiceSettings, Settings
from seawall.testing import client
from support.settings import settings
from support.tokens import AUDIENCE, ISSUER, NOW, SECRET, claims, clock_at, make

pytestmark = pytest.mark.anyio


def tokens(**options):
    return BearerTokens(KeyRing([secret_key(SECRET)]), issuer=ISSUER, audience=AUDIENCE, **options)


def shop(**options):
    options.setdefault("auth", tokens())
    options.setdefault("clock", clock_at())
    options.setdefault("settings", settings())
    return Service("shop", **options)


def bearer(**more):
    return {"authorization": f"Bearer {make(claims(**more))}"}


class Orders:
    """Orders by number, each with its owner."""

    owners = MappingProxyType({1: "ann", 2: "bob"})


async def owns_order(principal: Principal, order_id: int, orders: Orders) -> bool:
    return orders.owners.get(order_id) == principal.subject


# -- 401 and 403


async def test_nothing_sent_and_something_wrong_sent():
    service = shop()

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with client(service) as http:
        nothing = await http.get("/me")
        assert nothing.status_code == 401
        assert nothing.json()["type"] == "urn:problem-type:seawall:unauthorized"
        assert nothing.headers["www-authenticate"] == 'Bearer realm="shop"'  # no error code: RFC 6750 §3.1
        wrong = await http.get("/me", headers={"authorization": "Bearer x"})
        assert wrong.status_code == 401
        assert wrong.json()["type"] == "urn:problem-type:seawall:invalid-credentials"
        assert wrong.headers["www-authenticate"].startswith('Bearer realm="shop", error="invalid_token", error_desc')
        assert (await http.get("/me", headers=bearer())).json() == "ann"
        other = await http.get("/me", headers={"authorization": "Basic YTpi"})
        assert (other.status_code, other.json()["type"]) == (401, "urn:problem-type:seawall:unauthorized")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"bearer  ",
        b"Bearer \xe9\xe9.\xff.\x80",
        b"Bearer " + b"a" * 9000,
        b"Bearer " + b"a." * 3000,
        b"Bearer a.b.c, Bearer a.b.c",
        b"Basic a.b.c",
        b"\xff" * 50,
    ],
)
async def test_malformed_fields_are_401(sent):
    service = shop()

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with client(service) as http:
        assert (await http.get("/me", headers=[(b"authorization", sent)])).status_code == 401


async def test_two_fields_are_401_even_if_one_is_valid():
    service = shop()

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with client(service) as http:
        twice = [("authorization", bearer()["authorization"])] * 2
        assert (await http.get("/me", headers=twice)).status_code == 401


async def test_roles_any_and_scopes_all():
    service = shop()

    @service.get("/roles", roles={"staff", "admin"})
    async def roles() -> str:
        return "yes"

    @service.get("/scopes", scopes={"orders:read", "orders:write"})
    async def scopes() -> str:
        return "yes"

    async with client(service) as http:
        assert (await http.get("/roles", headers=bearer(roles=["admin"]))).status_code == 200
        refused = await http.get("/roles", headers=bearer(roles=["customer"]))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:problem-type:seawall:forbidden")
        assert "www-authenticate" not in refused.headers
        assert (await http.get("/scopes", headers=bearer(scope="orders:read orders:write x"))).status_code == 200
        refused = await http.get("/scopes", headers=bearer(scope="orders:read"))
        assert (refused.status_code, refused.json()["type"]) == (403, "urn:problem-type:seawall:insufficient-scope")
        assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
        assert 'scope="orders:read orders:write"' in refused.headers["www-authenticate"]
        assert (await http.get("/scopes")).status_code == 401


async def test_problems_name_their_guard():
    service = shop()

    @service.operation("closed", roles={"staff"})
    async def closed() -> str:
        return "yes"

    async with client(service):
        with pytest.raises(Problem) as caught:
            await service.call("closed")
        assert caught.value.guard == "authenticate"
        with acting_as(Principal("ann")), pytest.raises(Problem) as caught:
            await service.call("closed")
        assert (caught.value.status, caught.value.guard) == (403, "authorise")
        with acting_as(Principal("sue", frozenset({"staff"}))):
            assert await service.call("closed") == "yes"


# -- predicates


async def test_an_owner_check_after_binding_and_before_validation():
    service = shop()
    service.resource(Orders)

    @service.get("/orders/{order_id}", allow=owns_order)
    async def read(order_id: int, orders: Orders) -> int:
        return order_id

    async with client(service) as http:
        assert (await http.get("/orders/1", headers=bearer())).json() == 1
        assert (await http.get("/orders/2", headers=bearer())).status_code == 403
        assert (await http.get("/orders/x", headers=bearer())).status_code == 422
        assert (await http.get("/orders/1")).status_code == 401
        with acting_as(Principal("bob")):
            service.operation("read_again", allow=owns_order)(read)
            service.rebuild()
            assert await service.call("read_again", order_id=2) == 2
            with pytest.raises(Problem) as caught:
                await service.call("read_again", order_id=1)
            assert caught.value.status == 403


async def test_only_true_permits_and_a_predicate_may_answer_itself():
    service = shop()

    def truthy(principal: Principal) -> bool:
        return "yes"  # a mistake: it is no bool

    def hidden(principal: Principal) -> bool:
        raise NotFound("There is no such thing.")

    service.get("/truthy", allow=truthy)(_nothing("truthy_one"))
    service.get("/hidden", allow=hidden)(_nothing("hidden_one"))
    service.get("/anybody", allow=authenticated)(_nothing("anybody"))
    async with client(service) as http:
        assert (await http.get("/truthy", headers=bearer())).status_code == 403
        assert (await http.get("/hidden", headers=bearer())).status_code == 404
        assert (await http.get("/anybody", headers=bearer())).status_code == 204
        assert (await http.get("/anybody")).status_code == 401


def _nothing(name):
    async def function() -> None: ...

    function.__name__ = name
    return function


@pytest.mark.parametrize(
    ("predicate", "message"),
    [
        (lambda: owns_order, "it takes 'orders'"),
        (lambda: _takes_text, "'order_id' as str, but .* as int"),
        (lambda: _takes_other, "it takes 'customer'"),
    ],
)
def test_a_predicate_that_cannot_be_asked_is_refused_at_start_up(predicate, message):
    service = shop()

    @service.get("/orders/{order_id}", allow=predicate())
    async def read(order_id: int) -> int:
        return order_id

    with pytest.raises(DeclarationError, match=message):
        service.build()


def _takes_text(principal: Principal, order_id: str) -> bool:
    return True


def _takes_other(principal: Principal, customer: int) -> bool:
    return True


# -- levels


async def test_the_inner_level_wins():
    service = shop(roles={"staff"})
    open_group = service.group("/open", public=True)
    service.get("/closed")(_nothing("closed"))
    open_group.get("/a")(_nothing("a"))
    open_group.get("/b", roles={"admin"})(_nothing("b"))
    service.get("/public", public=True)(_nothing("public"))
    async with client(service) as http:
        assert (await http.get("/closed", headers=bearer())).status_code == 403
        assert (await http.get("/open/a")).status_code == 204
        assert (await http.get("/open/b", headers=bearer(roles=["staff"]))).status_code == 403
        assert (await http.get("/open/b", headers=bearer(roles=["admin"]))).status_code == 204
        assert (await http.get("/public")).status_code == 204


async def test_deny_by_default():
    service = shop(deny_by_default=True)
    service.get("/forgotten")(_nothing("forgotten"))
    service.get("/public", public=True)(_nothing("public"))
    service.get("/anybody", allow=authenticated)(_nothing("anybody"))
    async with client(service) as http:
        assert (await http.get("/forgotten")).status_code == 401
        assert (await http.get("/forgotten", headers=bearer(roles=["admin"]))).status_code == 403
        assert (await http.get("/public")).status_code == 204
        assert (await http.get("/anybody", headers=bearer())).status_code == 204
        assert (await http.get("/health/live")).status_code == 200


async def test_deny_by_default_from_the_settings_closes_what_has_no_scheme_at_all():
    closed = Settings(service=ServiceSettings(docs=False), auth=AuthSettings(deny_by_default=True))
    service = Service("closed", settings=closed)
    service.get("/forgotten")(_nothing("forgotten"))
    service.get("/public", public=True)(_nothing("public"))
    async with client(service) as http:
        assert (await http.get("/forgotten")).status_code == 401
        assert (await http.get("/public")).status_code == 204


def test_what_asks_nothing_has_no_such_guard():
    service = Service("plain", settings=settings())
    service.get("/plain")(_nothing("plain"))
    public = shop()
    public.get("/public", public=True)(_nothing("public"))
    for plan in (service.build().plans[0], public.build().plans[0]):
        assert not {"authenticate", "authorise", "permit"} & {step.name for step in plan.steps}
        assert "authorization" not in plan.source


def test_rules_without_a_way_to_show_who_calls():
    service = Service("shop", settings=settings(), roles={"staff"})
    service.get("/x")(_nothing("x"))
    with pytest.raises(ConfigurationError, match=r"Give the .*auth="):
        service.build()


async def test_a_guard_of_the_users_own_may_establish_the_caller():
    class Known(Guard):
        name = "known"
        place = Place.AUTHENTICATE

        async def check(self, call):
            call.principal = Principal("sue", frozenset({"staff"}))

    service = Service("shop", settings=settings(), guards=[Known()])
    service.get("/staff", roles={"staff"})(_nothing("staff"))
    service.get("/admin", roles={"admin"})(_nothing("admin"))
    async with client(service) as http:
        assert (await http.get("/staff")).status_code == 204
        assert (await http.get("/admin")).status_code == 403


@pytest.mark.parametrize(
    "options",
    [
        {"roles": "staff"},
        {"roles": {"a b"}},
        {"scopes": [""]},
        {"allow": True},
        {"public": "yes"},
        {"public": True, "roles": {"staff"}},
        {"auth": ["bearer"]},
        {"auth": [ANONYMOUS]},
    ],
)
def test_impossible_options(options):
    with pytest.raises(DeclarationError):
        Service("shop", settings=settings(), **options)


def test_tokens_of_any_issuer_or_for_any_audience_are_not_taken():
    service = Service("shop", auth=BearerTokens(KeyRing([secret_key(SECRET)])), settings=settings())
    service.get("/x")(_nothing("x"))
    with pytest.raises(ConfigurationError, match="issuer and no audience"):
        service.build()


# -- several schemes


async def _login(name, password, address):
    return Grant(subject=name) if password == "right" else None


async def test_several_schemes_on_one_operation():
    keys = MemoryApiKeys()
    made, _ = await ApiKeys(keys, clock=clock_at()).create("robot", scopes={"read"})
    service = shop(auth=[tokens(), KeyScheme(keys), Basic(_login)])

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    async with client(service) as http:
        nothing = await http.get("/me")
        assert nothing.headers["www-authenticate"] == (
            'Bearer realm="shop", ApiKey realm="shop", header="X-API-Key", Basic realm="shop", charset="UTF-8"'
        )
        for _ in range(2):  # the second time, they are known
            assert (await http.get("/me", headers=bearer())).json() == "ann"
            assert (await http.get("/me", headers={"x-api-key": made})).json() == "robot"
            assert (await http.get("/me", headers={"authorization": "Basic c3VlOnJpZ2h0"})).json() == "sue"
            assert (await http.get("/me", headers={"authorization": "Basic c3VlOndyb25n"})).status_code == 401
            # Good credentials do not make up for forged ones beside them, whichever come first.
            assert (await http.get("/me", headers={"x-api-key": "forged", **bearer()})).status_code == 401
            assert (await http.get("/me", headers={"x-api-key": made, "authorization": "Bearer x"})).status_code == 401


async def test_tokens_of_two_issuers():
    other = BearerTokens(KeyRing([secret_key(b"o" * 32)]), issuer="https://other.example", audience=AUDIENCE, name="o")
    service = shop(auth=[tokens(), other])

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    theirs = make(claims(iss="https://other.example", sub="eve"), secret=b"o" * 32)
    crossed = make(claims(iss="https://other.example", sub="eve"))
    async with client(service) as http:
        assert (await http.get("/me", headers=bearer())).json() == "ann"
        assert (await http.get("/me", headers={"authorization": f"Bearer {theirs}"})).json() == "eve"
        assert (await http.get("/me", headers={"authorization": f"Bearer {crossed}"})).status_code == 401


async def test_anonymous_callers_beside_known_ones():
    service = shop(auth=[tokens(), ANONYMOUS])

    @service.get("/me")
    async def me(principal: Principal | None) -> str:
        return principal.subject if principal else "nobody"

    service.get("/staff", roles={"staff"})(_nothing("staff"))
    async with client(service) as http:
        assert (await http.get("/me")).json() == "nobody"
        assert (await http.get("/me", headers=bearer())).json() == "ann"
        assert (await http.get("/me", headers={"authorization": "Bearer x"})).status_code == 401
        assert (await http.get("/staff")).status_code == 401


# -- the cache


async def test_a_token_is_checked_once_until_it_ends_or_keys_change():
    ring, clock = KeyRing([secret_key(SECRET)]), clock_at()
    scheme = BearerTokens(ring, issuer=ISSUER, audience=AUDIENCE)
    service = shop(auth=scheme, clock=clock)
    service.get("/x")(_nothing("x"))
    async with client(service) as http:
        checks = []
        check = scheme.verifier
        scheme.verifier = lambda token: checks.append(token) or check(token)
        for _ in range(3):
            assert (await http.get("/x", headers=bearer())).status_code == 204
        assert len(checks) == 1
        ring.replace([secret_key(b"n" * 32)])
        scheme.verifier = check
        assert (await http.get("/x", headers=bearer())).status_code == 401
        ring.replace([secret_key(b"n" * 32), secret_key(SECRET)])
        assert (await http.get("/x", headers=bearer())).status_code == 204
        clock.advance(306)
        assert (await http.get("/x", headers=bearer())).status_code == 401
        assert len(scheme.cache) == 1


async def test_100_000_tokens_keep_the_cache_within_its_bound():
    scheme = tokens(cache=500)
    service = shop(auth=scheme)
    service.get("/x")(_nothing("x"))
    service.build()
    now = NOW
    for number in range(100_000):
        scheme.cache.put(b"Bearer %d" % number, Principal(str(number)), now + 60, now)
        assert len(scheme.cache) <= 500
    assert scheme.cache.get(b"Bearer 99999") is not None


async def test_forged_tokens_take_no_memory():
    from seawall.call import Call

    scheme = tokens()
    service = shop(auth=scheme)
    service.get("/x")(_nothing("x"))
    service.build()
    for number in range(20_000):
        call = Call(b"1", "x", {b"authorization": b"Bearer %d.%d.%d" % (number, number, number)})
        with pytest.raises(Exception, match="not valid"):
            await scheme.authenticate(call, unsafe=False)
    assert len(scheme.cache) == 0


# -- what is said about it


def test_the_document_says_who_may():
    keys = KeyScheme(MemoryApiKeys())
    service = shop(auth=[tokens(), keys])
    service.get("/roles", roles={"staff"}, scopes={"read"})(_nothing("roles"))
    service.get("/public", public=True)(_nothing("public"))
    service.get("/maybe", auth=[tokens(), ANONYMOUS])(_nothing("maybe"))
    document = service.openapi()
    paths = document["paths"]
    assert paths["/roles"]["get"]["security"] == [{"bearer": ["read", "staff"]}, {"apiKey": ["read", "staff"]}]
    assert {"401", "403"} <= set(paths["/roles"]["get"]["responses"])
    assert "security" not in paths["/public"]["get"]
    assert paths["/maybe"]["get"]["security"] == [{"bearer": []}, {}]
    assert document["components"]["securitySchemes"] == {
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }


async def test_the_log_says_which_rule_decided(caplog):
    service = shop()
    service.resource(Orders)

    @service.get("/orders/{order_id}", roles={"customer"}, allow=owns_order)
    async def read_order(order_id: int) -> int:
        return order_id

    with caplog.at_level(logging.DEBUG, "seawall.auth"):
        async with client(service) as http:
            await http.get("/orders/1", headers=bearer(roles=["customer"]))
            await http.get("/orders/2", headers=bearer(roles=["customer"]))
            await http.get("/orders/1", headers=bearer(roles=["staff"]))
            await http.get("/orders/1", headers={"authorization": "Bearer x"})
            await http.get("/orders/1")
    lines = [record.getMessage() for record in caplog.records if record.name == "seawall.auth"]
    assert lines == [
        "read_order: allowed for ann: one of the roles {customer}",
        "read_order: allowed for ann: owns_order",
        "read_order: allowed for ann: one of the roles {customer}",
        "read_order: refused for ann: owns_order says no",
        "read_order: refused for ann: it takes one of the roles {customer}, and has {staff}",
        "read_order: bearer refused: The token is not valid: it is not a signed token in compact form.",
        "read_order: refused, the call brings no credentials",
    ]


async def test_a_mount_is_guarded_and_its_method_counts():
    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})

    service = shop()
    service.mount("/legacy", inner, roles={"staff"})
    async with client(service) as http:
        assert (await http.get("/legacy/x")).status_code == 401
        assert (await http.get("/legacy/x", headers=bearer())).status_code == 403
        assert (await http.get("/legacy/x", headers=bearer(roles=["staff"]))).text == "inside"


async def test_websockets_of_a_mount_are_guarded_as_well():
    async def inner(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})

    def not_eve(principal: Principal) -> bool:
        return principal.subject != "eve"

    async def opened(path, headers):
        sent = []
        fields = [(name.encode(), value.encode()) for name, value in headers.items()]
        scope = {"type": "websocket", "path": path, "headers": fields, "client": None, "root_path": "", "scheme": "ws"}

        async def receive():
            return {"type": "websocket.connect"}

        async def send(message):
            sent.append(message["type"])

        await service(scope, receive, send)
        return sent == ["websocket.accept"]

    service = shop()
    service.mount("/staff", inner, roles={"staff"}, allow=not_eve)
    service.mount("/known", inner)
    service.mount("/public", inner, public=True)
    async with client(service):
        assert not await opened("/staff/x", {})
        assert not await opened("/staff/x", bearer())
        assert not await opened("/staff/x", bearer(roles=["staff"], sub="eve"))
        assert await opened("/staff/x", bearer(roles=["staff"]))
        assert not await opened("/known/x", {"authorization": "Bearer x"})
        assert await opened("/known/x", bearer())
        assert await opened("/public/x", {})


# -- what it takes


class Slow(Scheme):
    """Asks somebody far away; `knows` is for whom it has lines that know a caller at once, and never do."""

    name = "slow"

    def __init__(self, *, knows):
        self._knows = knows

    def attach(self, to):
        self._clock = to.clock

    def fast(self, writer, alone, found):
        if self._knows:
            with writer.block("if False:"):
                found("None")
        return self._knows

    async def authenticate(self, call, *, unsafe):
        await self._clock.sleep(20)
        return Principal("ann")


@pytest.mark.parametrize("knows", [False, True])
async def test_the_time_of_an_operation_begins_behind_a_slow_authentication(manual_clock, knows):
    service = shop(auth=Slow(knows=knows), clock=manual_clock, settings=Settings())

    @service.get("/left", timeout=30)
    async def left(clock: Clock) -> float:
        return current_call().remaining(clock)

    async with client(service) as http:
        assert (await http.get("/left")).json() == 30
