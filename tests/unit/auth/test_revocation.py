"""Revocations of another process: how they get here, and what happens while the store is down."""

import asyncio

import pytest

from seawall import Principal, Service
from seawall.auth import BearerTokens, KeyRing, Revocation, RevocationList, secret_key
from seawall.auth.memory import MemoryRevocations
from seawall.testing import client
from support.settings import settings
from support.tokens import AUDIENCE, ISSUER, NOW, SECRET, claims, clock_at, make

pytestmark = pytest.mark.anyio


class Flaky(MemoryRevocations):
    down = False
    reads = 0

    async def read(self, after):
        self.reads += 1
        if self.down:
            raise ConnectionError("the store is down")
        return await super().read(after)

    async def revoke(self, revocation):
        if self.down:
            raise ConnectionError("the store is down")
        await super().revoke(revocation)


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - another task of the service is waited for, which tells nobody
            await asyncio.sleep(0.005)


async def test_what_another_process_revokes_is_refused_here(caplog):
    clock = clock_at()
    store = Flaky(clock)
    here, there = RevocationList(store, interval=0.01), RevocationList(store)
    scheme = BearerTokens(KeyRing([secret_key(SECRET)]), issuer=ISSUER, audience=AUDIENCE, revoked=here)
    service = Service("shop", auth=scheme, settings=settings(), clock=clock)

    @service.get("/me")
    async def me(principal: Principal) -> str:
        return principal.subject

    ann = {"authorization": f"Bearer {make()}"}
    bob = {"authorization": f"Bearer {make(claims(sub='bob', jti='j2'))}"}
    async with client(service) as http:
        for sent in (ann, bob):
            assert (await http.get("/me", headers=sent)).status_code == 200
        assert len(scheme.cache) == 2
        await there.revoke(Revocation("token", "j1", NOW, NOW + 400))
        await until(lambda: len(scheme.cache) == 0)
        assert (await http.get("/me", headers=ann)).status_code == 401
        assert (await http.get("/me", headers=bob)).status_code == 200
        store.down = True
        seen = store.reads
        await until(lambda: store.reads > seen + 1)
        assert (await http.get("/me", headers=ann)).status_code == 401  # by what was read before
        assert "revocations cannot be read: ConnectionError" in caplog.text
        with pytest.raises(ConnectionError):
            await here.revoke(Revocation("subject", "bob", NOW, NOW + 400))
        assert (await http.get("/me", headers=bob)).status_code == 200  # nothing was revoked, and it was said
        store.down = False
        await there.revoke(Revocation("subject", "bob", NOW, NOW + 400))
        await until(lambda: len(scheme.cache) == 0)
        assert (await http.get("/me", headers=bob)).status_code == 401


async def test_decisions_are_forgotten_when_they_no_longer_matter():
    known = RevocationList(MemoryRevocations(clock_at()))
    await known.revoke(Revocation("token", "j1", NOW, NOW + 10))
    await known.revoke(Revocation("subject", "ann", NOW, NOW + 10))
    assert known.covers({"sub": "eve", "jti": "j1", "iat": NOW})
    known.forget(NOW + 11)
    assert not known.covers({"sub": "ann", "jti": "j1", "iat": NOW - 1})
