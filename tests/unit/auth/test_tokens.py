"""What makes a token valid, and every known way to make one that is not (RFC 8725; scenario 21)."""

import json
import random

import pytest

from seawall.auth import (
    KeyRing,
    Revocation,
    RevocationList,
    TokenRules,
    TokenVerifier,
    keys_from_jwks,
    keys_from_pem,
    secret_key,
)
from seawall.auth.jws import InvalidToken
from seawall.auth.memory import MemoryRevocations
from support.tokens import AUDIENCE, ISSUER, NOW, SECRET, b64, claims, clock_at, hs256, jwk, key, make, signed, unsigned


def verifier(*keys, revoked=None, **rules):
    ring = KeyRing(keys or [secret_key(SECRET)])
    algorithms = frozenset(rules.pop("algorithms", ("HS256", "RS256", "PS256", "ES256", "EdDSA")))
    rules = TokenRules(issuer=ISSUER, audience=frozenset({AUDIENCE}), algorithms=algorithms, **rules)
    return TokenVerifier(ring, rules, clock_at(NOW), revoked)


def refused(token, check=None):
    with pytest.raises(InvalidToken) as caught:
        (check or verifier())(token if isinstance(token, bytes) else token.encode("utf-8", "surrogateescape"))
    return str(caught.value)


def test_a_valid_token_says_who_calls():
    principal, until = verifier()(make(claims(roles=["customer", 7], scope="read write", shop="north")).encode())
    assert principal.subject == "ann"
    assert principal.roles == {"customer"}
    assert principal.scopes == {"read", "write"}
    assert principal.claims["shop"] == "north"
    assert until == int(NOW) + 300 + 5


@pytest.mark.parametrize(
    ("alg", "kind"),
    [
        ("RS256", "RSA"),
        ("PS256", "RSA"),
        ("ES256", "P-256"),
        ("EdDSA", "Ed25519"),
        ("ES384", "P-384"),
        ("ES512", "P-521"),
    ],
)
def test_every_algorithm(alg, kind):
    check = verifier(*keys_from_jwks(jwk(kind)), algorithms=[alg])
    token = signed(alg, kind)
    assert check(token.encode())[0].subject == "ann"
    changed = token[:-9] + ("A" if token[-9] != "A" else "B") + token[-8:]
    assert refused(changed, check) == "its signature is not right"


ATTACKS = {
    "none": unsigned({"alg": "none", "typ": "at+jwt"}, claims()) + b".",
    "none, in other letters": unsigned({"alg": "nOnE", "typ": "at+jwt"}, claims()) + b".",
    "none, with a signature": unsigned({"alg": "none", "typ": "at+jwt"}, claims()) + b".AAAA",
    "two parts": unsigned({"alg": "HS256", "typ": "at+jwt"}, claims()),
    "five parts": b"a.b.c.d.e",
    "an algorithm off the list": make(alg="HS384"),
    "an algorithm that is no text": make(alg=["HS256"]),
    "no algorithm": b64({"typ": "at+jwt"}) + b"." + b64(claims()) + b".AAAA",
    "kid that walks": make(kid="../../../../dev/null", secret=b""),
    "kid that asks a database": make(kid="x' UNION SELECT 'secret", secret=b"secret"),
    "kid that is no text": make(kid={"a": 1}),
    "embedded jwk": signed("RS256", "RSA", jwk=jwk("RSA")),
    "jku": signed("RS256", "RSA", jku="http://127.0.0.1:9/keys"),
    "x5u": signed("RS256", "RSA", x5u="http://127.0.0.1:9/cert"),
    "x5c": signed("RS256", "RSA", x5c=["MIIB"]),
    "crit": make(crit=["exp"]),
    "empty crit": make(crit=[]),
    "b64": make(b64=False),
    "nested": make(cty="JWT"),
    "nested none": make(make().encode()),
    "signed with nothing": make(secret=b""),
    "signed with another secret": make(secret=b"x" * 32),
    "typ of an id token": make(typ="JWT"),
    "no typ": make(typ=None),
    "typ of a logout token": make(typ="logout+jwt"),
    "another issuer": make(claims(iss="https://issuer.example/")),
    "no issuer": make(claims(iss=None)),
    "issuer in a list": make(claims(iss=[ISSUER])),
    "another audience": make(claims(aud="bank")),
    "no audience": make(claims(aud=None)),
    "other audiences": make(claims(aud=["bank", 7, None])),
    "audience in an object": make(claims(aud={AUDIENCE: 1})),
    "expired": make(claims(exp=int(NOW) - 6)),
    "no expiry": make(claims(exp=None)),
    "expiry as text": make(claims(exp="2100-01-01")),
    "expiry as truth": make(claims(exp=True)),
    "expiry without end": b64({"alg": "HS256", "typ": "at+jwt"}) + b"." + b64(b'{"exp": 1e999}') + b".AAAA",
    "expiry beyond everything": make(claims(exp=10**30)),
    "not yet": make(claims(nbf=int(NOW) + 6)),
    "nbf as null": make(json.dumps({**claims(), "nbf": None}).encode()),
    "issued tomorrow": make(claims(iat=int(NOW) + 86_400)),
    "no subject": make(claims(sub=None)),
    "empty subject": make(claims(sub="")),
    "subject that is no text": make(claims(sub=7)),
    "claims in a list": make(b"[]"),
    "claims that are no JSON": make(b"{"),
    "claims in another encoding": make(b'{"sub": "\xff"}'),
    "header that is no JSON": b64(b"{") + b"." + b64(claims()) + b".AAAA",
    "header in a list": b64(b"[]") + b"." + b64(claims()) + b".AAAA",
    "deep header": b64(b'{"alg":' + b"[" * 3000 + b"]" * 3000 + b"}") + b"." + b64(claims()) + b".AAAA",
    "deep claims": make(b'{"a":' + b"[" * 6000 + b"]" * 6000 + b"}"),
    "padding": make().replace(".", "=.", 1),
    "a line break": make() + "\n",
    "a space": make().replace(".", ". ", 1),
    "JSON form": json.dumps({"payload": "e30", "signatures": []}),
    "truncated": make()[:-10],
    "truncated to one letter of signature": make().rpartition(".")[0] + ".A",
    "letters beyond ASCII": "é" + make(),
    "nothing": b"",
    "dots": b"..",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack(attack):
    check = verifier(secret_key(SECRET), *keys_from_jwks(jwk("RSA", kid="r", alg="RS256")))
    assert refused(ATTACKS[attack], check)


def test_hs_with_the_public_key_as_the_secret():
    """RS/HS confusion: a verifier that lets the token choose would take the public key's text as the secret."""
    pem = key("RSA").as_pem(private=False)
    check = verifier(*keys_from_pem(pem))
    for secret in (pem, pem.strip(), json.dumps(jwk("RSA")).encode()):
        assert refused(make(secret=secret), check) == "it is signed with a key that is not known"


def test_a_key_is_used_with_its_own_algorithm_only():
    check = verifier(*keys_from_jwks(jwk("RSA", alg="RS256", kid="k")))
    assert check(signed("RS256", "RSA", kid="k").encode())
    assert refused(signed("PS256", "RSA", kid="k"), check) == "it is signed with a key that is not known"


def test_an_elliptic_key_of_another_curve_is_none():
    assert refused(signed("ES384", "P-384"), verifier(*keys_from_jwks(jwk("P-256")), algorithms=["ES256", "ES384"]))


def test_typ_in_any_case_and_with_its_prefix():
    for typ in ("AT+JWT", "application/at+jwt", "Application/AT+JWT"):
        assert verifier()(make(typ=typ).encode())
    assert verifier(types=None)(make(typ=None).encode())
    assert verifier(types=frozenset({"at+jwt", "jwt"}))(make(typ="JWT").encode())


@pytest.mark.parametrize(
    ("change", "leeway"), [({"exp": int(NOW) - 4}, 5), ({"nbf": int(NOW) + 4}, 5), ({"iat": int(NOW) + 29}, 30)]
)
def test_clocks_may_differ_by_the_leeway(change, leeway):
    token = make(claims(**change))
    assert verifier(leeway=leeway)(token.encode())
    assert refused(token, verifier(leeway=0))


def test_the_oldest_token_that_is_taken():
    assert refused(make(claims(iat=int(NOW) - 100)), verifier(max_age=60)) == "it is too old"
    assert refused(make(claims(iat=None)), verifier(max_age=60)) == "it is too old"
    assert verifier(max_age=60)(make().encode())[1] == int(NOW) - 10 + 60 + 5


def test_roles_within_an_object():
    token = make(claims(realm_access={"roles": ["staff"]}))
    assert verifier(roles_claim="realm_access.roles")(token.encode())[0].roles == {"staff"}
    assert verifier(roles_claim="realm_access.roles")(make(claims(realm_access=7)).encode())[0].roles == frozenset()


@pytest.mark.anyio
async def test_revoked_by_id_subject_and_moment():
    revoked = RevocationList(MemoryRevocations(clock_at(NOW)))
    check = verifier(revoked=revoked)
    token, other = make(), make(claims(sub="bob", jti="j2", iat=int(NOW) - 100))
    await revoked.revoke(Revocation("token", "j1", NOW, NOW + 400))
    assert refused(token, check) == "it was revoked"
    assert check(other.encode())
    await revoked.revoke(Revocation("subject", "bob", NOW - 50, NOW + 400))
    assert refused(other, check) == "it was revoked"
    assert check(make(claims(sub="bob", jti="j3", iat=int(NOW) - 50)).encode())
    assert refused(make(claims(sub="bob", jti="j3", iat=None)), check) == "it was revoked"
    await revoked.revoke(Revocation("all", "", NOW - 5, NOW + 400))
    assert refused(make(claims(sub="eve", jti="j4")), check) == "it was revoked"


def test_random_bytes_are_refused_and_nothing_else():
    chance = random.Random(21)
    check = verifier(secret_key(SECRET), *keys_from_jwks(jwk("P-256")))
    valid = make().encode()
    for _ in range(3000):
        kind = chance.random()
        if kind < 0.3:
            token = chance.randbytes(chance.randrange(200))
        elif kind < 0.6:
            token = b64(chance.randbytes(40)) + b"." + b64(chance.randbytes(40)) + b"." + b64(chance.randbytes(32))
        else:
            changed = bytearray(valid)
            for _ in range(chance.randrange(1, 4)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            token = bytes(changed)
        if token != valid:
            refused(token, check)


def test_a_signature_proves_what_was_signed():
    part = unsigned({"alg": "HS256", "typ": "at+jwt"}, claims())
    other = unsigned({"alg": "HS256", "typ": "at+jwt"}, claims(sub="admin"))
    assert refused(other + b"." + hs256(part))
