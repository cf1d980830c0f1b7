"""Who is told about the call being served, by what is written in ``client.trusted``."""

from __future__ import annotations

import pytest

from seawall.client import Trusted
from seawall.settings import ClientSettings, SettingsError, load

PATTERNS = ("payments.internal", "*.svc.local", "edge.example:8443", "10.0.0.7", "[::1]", "*.low.example:81")


@pytest.mark.parametrize(
    "url",
    [
        "http://payments.internal",
        "https://Payments.Internal:9000/base",
        "http://payments.internal./",
        "http://a.svc.local",
        "http://a.b.svc.local:1",
        "https://edge.example:8443",
        "http://10.0.0.7:80",
        "http://[0:0:0:0:0:0:0:1]:9",
        "http://x.low.example:81",
    ],
)
def test_targets_that_are_named_are_trusted(url: str) -> None:
    assert Trusted(PATTERNS).includes(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://payments.internal.evil.example",
        "http://evil.example/payments.internal",
        "http://evil.example?payments.internal",
        "http://evilpayments.internal",
        "http://svc.local",
        "http://evilsvc.local",
        "https://edge.example",
        "http://10.0.0.70",
        "http://[::2]",
        "http://x.low.example",
        "http://localhost",
    ],
)
def test_others_are_not(url: str) -> None:
    assert not Trusted(PATTERNS).includes(url)


def test_a_default_port_counts_as_written() -> None:
    assert Trusted(["shop.example:443"]).includes("https://shop.example")
    assert not Trusted(["shop.example:443"]).includes("http://shop.example")


def test_this_machine_is_trusted_by_default_and_nobody_else() -> None:
    trusted = Trusted(ClientSettings().trusted)
    assert trusted.includes("http://127.0.0.1:8000")
    assert trusted.includes("http://[::1]:8000")
    assert not trusted.includes("https://api.example")


def test_the_environment_names_them() -> None:
    settings = load(environ={"SEAWALL_CLIENT_TRUSTED": "a.internal, *.b.internal"})
    assert settings.client.trusted == ("a.internal", "*.b.internal")
    assert load(environ={"SEAWALL_CLIENT_TRUSTED": ""}).client.trusted == ()


@pytest.mark.parametrize("wrong", ["*", "http://a.internal", "a.internal/x", "a:0", "a:65536", "[::1", "[g]", "*.*.a"])
def test_what_is_no_host_is_refused_with_the_fix(wrong: str) -> None:
    with pytest.raises(SettingsError, match="SEAWALL_CLIENT_TRUSTED") as refused:
        load(environ={"SEAWALL_CLIENT_TRUSTED": f"ok.internal,{wrong}"})
    assert 'write "payments.internal"' in str(refused.value)
