"""Who calls, and whether they may: tokens, keys, API keys, passwords, sessions, roles and scopes.

Importing this imports no cryptography: joserfc, argon2 and httpx (the extra ``auth``) are imported when needed.
The stores are in `seawall.auth.memory`, `seawall.auth.redis` and `seawall.auth.sql`; sessions in cookies and the routes
for logging in, which are HTTP's, in `seawall.http.sessions` and `seawall.http.sign_in`.
"""

from seawall.auth.acting import acting_as, authenticated
from seawall.auth.api_keys import ApiKey, ApiKeys, KeyScheme
from seawall.auth.basic import Basic
from seawall.auth.bearer import BearerTokens
from seawall.auth.clients import Client, FixedClients
from seawall.auth.fetching import HttpxFetch
from seawall.auth.fingerprints import digest, new_secret
from seawall.auth.issuing import Grant, InvalidGrant, TokenPair, TokenService
from seawall.auth.keyring import FileKeys, KeyRing, RemoteKeys
from seawall.auth.keys import Key, UnusableKey, jwks_document, keys_from_jwks, keys_from_pem, read_keys, secret_key
from seawall.auth.oidc import OpenIdProvider
from seawall.auth.passwords import Account, MemoryThrottle, PasswordLogin, Passwords
from seawall.auth.problems import InsufficientScope, InvalidCredentials
from seawall.auth.revocation import Revocation, RevocationList
from seawall.auth.scheme import ANONYMOUS, Refused, Scheme
from seawall.auth.tokens import TokenRules, TokenVerifier

__all__ = [
    "ANONYMOUS",
    "Account",
    "ApiKey",
    "ApiKeys",
    "Basic",
    "BearerTokens",
    "Client",
    "FileKeys",
    "FixedClients",
    "Grant",
    "HttpxFetch",
    "InsufficientScope",
    "InvalidCredentials",
    "InvalidGrant",
    "Key",
    "KeyRing",
    "KeyScheme",
    "MemoryThrottle",
    "OpenIdProvider",
    "PasswordLogin",
    "Passwords",
    "Refused",
    "RemoteKeys",
    "Revocation",
    "RevocationList",
    "Scheme",
    "TokenPair",
    "TokenRules",
    "TokenService",
    "TokenVerifier",
    "UnusableKey",
    "acting_as",
    "authenticated",
    "digest",
    "jwks_document",
    "keys_from_jwks",
    "keys_from_pem",
    "new_secret",
    "read_keys",
    "secret_key",
]
