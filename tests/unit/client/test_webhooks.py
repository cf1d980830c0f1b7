"""Webhooks: signatures by the specification's own example, and what is refused."""

from __future__ import annotations

import pytest

from seawall.client import Client, WebhookRefused, Webhooks, WebhookSender, new_secret
from seawall.problems import DeclarationError
from seawall.testing import ManualClock

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SENT = 1614265330
BODY = b'{"test": 2432232314}'
# What the reference implementation (standardwebhooks 1.1.0) makes of these.
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
MESSAGE = "msg_p5jXN8AQM9LWM0D4loKWxJek"


def at(seconds: float) -> ManualClock:
    clock = ManualClock()
    clock.shift_wall(seconds - clock.time())
    return clock


def test_signatures_are_those_of_the_reference() -> None:
    fields = Webhooks(SECRET).sign(MESSAGE, BODY, SENT)
    assert fields == {"webhook-id": MESSAGE, "webhook-timestamp": str(SENT), "webhook-signature": SIGNATURE}
    assert Webhooks(SECRET, clock=at(SENT)).verify(fields, BODY) == MESSAGE
    assert Webhooks(SECRET, clock=at(SENT)).verify({k.encode(): v.encode() for k, v in fields.items()}, BODY) == MESSAGE


def test_secrets_can_be_replaced() -> None:
    old, new = new_secret(), new_secret()
    fields = Webhooks(old, new).sign("m", BODY, SENT)
    assert fields["webhook-signature"].count("v1,") == 2
    for secrets in [(old,), (new,), (new_secret(), new)]:
        assert Webhooks(*secrets, clock=at(SENT)).verify(fields, BODY) == "m"
    with pytest.raises(WebhookRefused):
        Webhooks(new_secret(), clock=at(SENT)).verify(fields, BODY)


@pytest.mark.parametrize("now", [SENT - 299, SENT + 299])
def test_clocks_may_differ_a_little(now: int) -> None:
    Webhooks(SECRET, clock=at(now)).verify(Webhooks(SECRET).sign("m", BODY, SENT), BODY)


@pytest.mark.parametrize(
    "change",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": str(SENT + 1)},
        {"webhook-timestamp": str(SENT - 301)},
        {"webhook-timestamp": str(SENT + 301)},
        {"webhook-timestamp": "1e9"},
        {"webhook-timestamp": "-5"},
        {"webhook-timestamp": "²"},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,not base64!"},
        {"webhook-signature": "x " * 5000},
        {"webhook-signature": None},
        {"webhook-id": None},
    ],
)
def test_what_is_refused(change) -> None:
    fields = {**Webhooks(SECRET).sign(MESSAGE, BODY, SENT), **change}
    fields = {name: value for name, value in fields.items() if value is not None}
    with pytest.raises(WebhookRefused) as refused:
        Webhooks(SECRET, clock=at(SENT)).verify(fields, BODY)
    assert refused.value.status == 401
    assert "detail" not in refused.value.document()
    with pytest.raises(WebhookRefused):
        Webhooks(SECRET, clock=at(SENT)).verify(Webhooks(SECRET).sign(MESSAGE, BODY, SENT), BODY + b" ")


@pytest.mark.parametrize("secrets", [(), ("",), ("whsec_",), ("whsec_c2hvcnQ=",), ("whsec_!!",)])
def test_secrets_that_are_none(secrets) -> None:
    with pytest.raises(DeclarationError) as error:
        Webhooks(*secrets)
    assert "c2hvcnQ" not in str(error.value)
    assert SECRET not in repr(Webhooks(SECRET))


def test_a_sender_needs_to_know_where_it_may_go() -> None:
    with pytest.raises(DeclarationError, match="destinations"):
        WebhookSender(Client("webhooks", "https://a.test"))
