"""Where calls to URLs of others may lead."""

from __future__ import annotations

import pytest

from seawall.client import DestinationRefused, Destinations
from seawall.problems import DeclarationError


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
        "100.64.0.1", "192.0.0.8", "192.88.99.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fec0::1", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::1",
        "2002:7f00:1::", "2002:a00:1::1", "2001:0:0:0:0:0:80ff:fefe", "nonsense", "",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(DestinationRefused) as refused:
        Destinations().check_address(address)
    assert address not in str(refused.value.document()) or not address


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.216.34", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
def test_what_is_public_is_allowed(address: str) -> None:
    Destinations().check_address(address)


def test_networks_can_be_allowed() -> None:
    inside = Destinations(allow=("10.1.0.0/16",))
    inside.check_address("10.1.2.3")
    inside.check_address("::ffff:10.1.2.3")
    with pytest.raises(DestinationRefused):
        inside.check_address("10.2.0.1")


@pytest.mark.parametrize(
    ("scheme", "host", "port"),
    [("http", "a.test", 80), ("https", "a.test", 8443), ("ftp", "a.test", 21), ("https", None, 443),
     ("https", "127.0.0.1", 443), ("https", "::1", None)],
)  # fmt: skip
def test_urls_are_judged_before_anything_is_done(scheme: str, host: str | None, port: int | None) -> None:
    with pytest.raises(DestinationRefused):
        Destinations().check(scheme, host, port)
    Destinations().check("https", "a.test", None)


@pytest.mark.parametrize(
    "settings",
    [{"schemes": frozenset({"file"})}, {"schemes": frozenset()}, {"ports": frozenset({0})}, {"allow": ("x",)}],
)
def test_impossible_ones(settings) -> None:
    with pytest.raises(DeclarationError):
        Destinations(**settings)
