"""Attempts to log in, counted where calls are."""

import pytest

from seawall import Service
from seawall.auth import Account, Grant, MemoryThrottle, PasswordLogin, Passwords, TokenService, secret_key
from seawall.auth.clients import FixedClients
from seawall.clock import SystemClock
from seawall.host import Host
from seawall.http.sign_in import login_routes, token_routes
from seawall.limit import LimitOptions, Limits
from seawall.limit.attempts import Attempts
from seawall.problems import TooManyRequests, Unavailable
from seawall.settings import LimitSettings, RedisSettings, ServiceSettings, Settings
from support.exchange import exchange

pytestmark = pytest.mark.anyio
NOWHERE = "redis://127.0.0.1:1/0"


class Users:
    def __init__(self, hashed):
        self.account = Account(Grant(subject="ann"), hashed)

    async def find(self, name):
        return self.account if name == "ann" else None

    async def replace_password(self, subject, before, after): ...


@pytest.fixture(scope="module")
def passwords():
    return Passwords(memory_kib=64, passes=1, lanes=1)


async def test_attempts_are_counted_by_key_until_they_are_forgiven(manual_clock):
    limits = Limits(manual_clock, Host(), LimitOptions())
    names, others = (Attempts(lambda: limits, "2/minute", name) for name in ("names", "others"))
    assert [await names.take("ann") for _ in range(2)] == [0.0, 0.0]
    assert await names.take("ann") == pytest.approx(30.0, abs=0.01)
    assert await names.take("bob") == 0.0
    assert await others.take("ann") == 0.0
    manual_clock.advance(30.01)
    assert await names.take("ann") == 0.0
    assert await names.take("ann") > 0
    await names.forgive("ann")
    assert [await names.take("ann") for _ in range(2)] == [0.0, 0.0]


@pytest.mark.parametrize("on_outage", ["open", "closed", "local"])
async def test_an_outage_is_treated_as_that_of_any_limit(manual_clock, on_outage):
    from seawall.data.redis import connect

    options = LimitOptions(redis_url=NOWHERE, on_outage=on_outage)
    settings = RedisSettings(url=NOWHERE, retries=0)
    limits = Limits(SystemClock(), Host(), options, lambda: lambda: connect(settings))
    attempts = Attempts(lambda: limits, "2/minute", "names")
    if on_outage == "closed":
        with pytest.raises(Unavailable):
            await attempts.take("ann")
    else:
        refused = [await attempts.take("ann") > 0 for _ in range(3)]
        assert refused == [False, False, on_outage == "local"]
    await attempts.forgive("ann")
    await limits.close()


async def test_a_login_counts_where_the_service_does(passwords, manual_clock):
    login = PasswordLogin(Users(await passwords.hash("right")), passwords, clock=manual_clock)
    service = Service("test", clock=manual_clock, settings=Settings(service=ServiceSettings(docs=False)))
    login_routes(service.group("/auth"), TokenService(secret_key("0" * 32), issuer="i", audience="a"), login)
    async with service.running():
        assert service.limits.name == "memory"
        for _ in range(5):
            assert await login("ann", "wrong") is None
        with pytest.raises(TooManyRequests) as caught:
            await login("ann", "right")
        assert caught.value.headers["Retry-After"] == "12"
        service.limits.local.forgive(login._names._rules, "ann")  # a name does not stand in the store
        with pytest.raises(TooManyRequests):
            await login("ann", "right")
        manual_clock.advance(12.1)
        assert (await login("ann", "right")).subject == "ann"
        assert await login("ann", "wrong") is None  # forgiven with the success


async def test_throttles_that_were_given_stay(passwords, manual_clock):
    given = MemoryThrottle(1, clock=manual_clock)
    login = PasswordLogin(Users(await passwords.hash("right")), passwords, given, clock=manual_clock)
    service = Service("test", clock=manual_clock)
    login_routes(service, TokenService(secret_key("0" * 32), issuer="i", audience="a"), login)
    assert login._names is given
    assert isinstance(login._addresses, Attempts)


async def test_the_token_endpoint_counts_there_too(manual_clock):
    settings = Settings(service=ServiceSettings(docs=False), limit=LimitSettings(max_keys=100))
    service = Service("test", clock=manual_clock, settings=settings)
    token_routes(service, TokenService(secret_key("0" * 32), issuer="i", audience="a"), FixedClients([]))
    body = b"grant_type=client_credentials&client_id=x&client_secret=y"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answers = [await exchange(service, "POST", "/oauth/token", body=body, headers=headers) for _ in range(11)]
    assert [each.status for each in answers] == [401] * 10 + [429]
    assert service.limits.local.count == 1
