"""Logging in: passwords for tokens and sessions, machine clients, an external provider."""

from __future__ import annotations

from typing import Any

# region: issue
from seawall import Principal, Service
from seawall.auth import (
    Account,
    BearerTokens,
    Client,
    FixedClients,
    Grant,
    KeyRing,
    PasswordLogin,
    Passwords,
    RevocationList,
    TokenService,
    digest,
    new_secret,
    secret_key,
)
from seawall.auth.memory import MemoryRefreshTokens, MemoryRevocations, MemorySessions, MemorySignIns
from seawall.http.sessions import Sessions
from seawall.http.sign_in import login_routes, provider_routes, session_routes, token_routes

ISSUER, AUDIENCE = "https://shop.example", "shop"
key = secret_key(new_secret(), kid="2026")  # in production, a secret that all processes share and restarts keep
revoked = RevocationList(MemoryRevocations())

tokens = TokenService(key, issuer=ISSUER, audience=AUDIENCE, refresh_tokens=MemoryRefreshTokens(), revoked=revoked)
bearer = BearerTokens(KeyRing([key]), issuer=ISSUER, audience=AUDIENCE, revoked=revoked)
sessions = Sessions(MemorySessions())
service = Service("shop", auth=[bearer, sessions])
# endregion


# region: accounts
passwords = Passwords()


class Customers:
    """The service's own users, as far as logging in goes."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    async def join(self, name: str, password: str) -> None:
        """Keep a new customer."""
        grant = Grant(subject=name, roles=frozenset({"customer"}))
        self._accounts[name] = Account(grant, await passwords.hash(password))

    async def find(self, name: str) -> Account | None:
        """Return the account that logs in as *name*."""
        return self._accounts.get(name)

    async def replace_password(self, subject: str, before: str, after: str) -> None:
        """Keep a better hash of the same password."""
        account = self._accounts[subject]
        if account.password == before:
            self._accounts[subject] = Account(account.grant, after, account.active)


customers = Customers()
login = PasswordLogin(customers, passwords)
robot_secret = new_secret()
clients = FixedClients([Client(id="robot", secret=digest(robot_secret), machine=True, scopes=frozenset({"read"}))])

login_routes(service, tokens, login)
session_routes(service, sessions, login)
token_routes(service, tokens, clients)


@service.get("/me")
async def me(principal: Principal) -> str:
    """Return who calls."""
    return principal.subject


@service.post("/log-out-everywhere")
async def log_out_everywhere(principal: Principal) -> None:
    """End every session of the caller, and every token."""
    await tokens.revoke_subject(principal.subject)
    await sessions.close_all(principal.subject)


# endregion

# region: provider
from seawall.auth import OpenIdProvider  # noqa: E402

provider = OpenIdProvider("https://id.example", "shop", "client-secret", MemorySignIns())


async def identify(claims: dict[str, Any]) -> Grant | None:
    """Return what a user of the provider is granted here."""
    if not claims.get("email_verified"):
        return None
    return Grant(subject=claims["email"], roles=frozenset({"customer"}))


provider_routes(service, provider, sessions, identify, callback_url="https://shop.example/sign-in/callback")
# endregion
