"""The vectors of Project Wycheproof for JSON Web Signatures, and joserfc's word on what is our own."""

import hmac
import json
import random
import warnings
from pathlib import Path

import pytest
from joserfc import jws as joserfc_jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from seawall.auth import UnusableKey, keys_from_jwks, secret_key
from seawall.auth.jws import InvalidToken, decode_part, parse
from seawall.auth.tokens import verify_signature
from support.tokens import SECRET, b64, hs256, make

DATA = json.loads((Path(__file__).parents[2] / "data" / "jws_vectors.json").read_text())
VECTORS = [
    pytest.param(group.get("public") or group["private"], test, id=f"{test['tcId']}-{test['comment']}")
    for group in DATA["testGroups"]
    for test in group["tests"]
]

DEVIATIONS = {
    # Said to be valid, and refused here:
    346: "the key says alg=PS256 and the token PS384; a key is used with its own algorithm only (RFC 8725 §3.1)",
    350: "as 346",
    372: "a '?' stands in the header; RFC 7515 §2 has base64url without other characters, and the signature is over "
    "what stood there before",
    # Said to be invalid, and a token without any flaw:
    370: "named after a padding that the vector does not have: it is the signed token itself (see the test below)",
}


def accepted(jwk, token):
    try:
        jws = parse(token.encode())
        verify_signature(jws, keys_from_jwks(jwk))
        decode_part(jws.payload)
    except (InvalidToken, UnusableKey):
        return False
    return True


@pytest.mark.parametrize(("jwk", "test"), VECTORS)
def test_vector(jwk, test):
    token = test["jws"] if isinstance(test["jws"], str) else json.dumps(test["jws"])
    expected = (test["result"] == "valid") != (test["tcId"] in DEVIATIONS)
    assert accepted(jwk, token) is expected


def test_vector_370_is_a_signed_token():
    jwk, test = next(each.values for each in VECTORS if each.values[1]["tcId"] == 370)
    signed, _, signature = test["jws"].encode().rpartition(b".")
    key = decode_part(jwk["k"].encode())
    assert decode_part(signed.rpartition(b".")[2]) == b"Test"
    assert b64(hmac.digest(key, signed, "sha256")) == signature
    # With the padding that its name speaks of, it is refused.
    assert not accepted(jwk, f"{signed.decode()}=.{signature.decode()}")


def test_hs256_says_what_joserfc_says():
    """The fast path against the reference: valid tokens, and every one byte of them changed."""
    chance = random.Random(5)
    reference, ours = import_key({"kty": "oct", "k": b64(SECRET).decode()}), [secret_key(SECRET)]

    def theirs(token):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return joserfc_jws.deserialize_compact(token, reference, algorithms=["HS256"]).payload
            except (JoseError, ValueError):
                return None

    def mine(token):
        try:
            jws = parse(token)
            verify_signature(jws, ours)
            return decode_part(jws.payload)
        except InvalidToken:
            return None

    for number in range(200):
        token = make({"sub": str(number), "n": chance.random()}).encode()
        assert mine(token) == theirs(token) is not None
    token = make().encode()
    accepted_by_them_alone = 0
    for place in range(len(token)):
        changed = bytearray(token)
        changed[place] = chance.choice([each for each in b"ABCxyz019-_." if each != changed[place]])
        verdict = mine(bytes(changed))
        if verdict is None:
            accepted_by_them_alone += theirs(bytes(changed)) is not None
        else:
            assert verdict == theirs(bytes(changed))
    # The last character of a signature has bits that a lenient decoder throws away; here, nothing is thrown away.
    assert accepted_by_them_alone <= 1


def test_there_is_one_way_to_write_a_signature():
    token = make().encode()
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    twins = [token[:-1] + bytes([each]) for each in alphabet]
    keys = [secret_key(SECRET)]

    def valid(candidate):
        try:
            verify_signature(parse(candidate), keys)
        except InvalidToken:
            return False
        return True

    assert sum(map(valid, twins)) == 1


def test_hs256_by_hand():
    part = b"eyJhbGciOiJIUzI1NiJ9.e30"
    verify_signature(parse(part + b"." + hs256(part)), [secret_key(SECRET)])
