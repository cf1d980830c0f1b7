"""What the reference page is made of."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from seawall.http.reference import assets, page, page_policy
from seawall.problems import ConfigurationError


def test_the_page_loads_its_own_assets_and_nothing_else() -> None:
    files = assets()
    text = page("Shop", "/openapi.json", assets_url="/help/assets").decode()
    loaded = re.findall(r'(?:src|href)="([^"]+)"', text)
    assert [url.removeprefix("/help/assets/") for url in loaded if url.startswith("/help/assets/")] == list(files)
    assert all(url.startswith(("/help/assets/", "/openapi.json", "data:image/svg+xml,")) for url in loaded)
    assert not re.search(r"<script(?![^>]* src=)|<style| style=| on\w+=", text)


def test_what_comes_from_outside_is_escaped() -> None:
    text = page('<b>"Shop"</b>', '/a"><script>', assets_url='/x"', accept='"><i>', names=("a.js",)).decode()
    assert "<b>" not in text
    assert "<script>" not in text
    assert "<i>" not in text
    assert 'src="/x&quot;/a.js"' in text


def test_assets_are_named_after_their_content() -> None:
    for name, asset in assets().items():
        digest = sha256(asset.content).hexdigest()
        assert asset.name == name
        assert digest[:12] in name
        assert re.fullmatch(r'"[0-9a-f]{32}"', asset.etag)
        assert asset.etag[1:-1] == digest[:32]
        assert asset.cache_control == "max-age=31536000, immutable"
        assert asset.content_type.startswith(("text/css", "text/javascript"))
        assert b"sourceMappingURL=" not in asset.content


def test_only_servers_in_the_document_may_be_called() -> None:
    assert "connect-src 'self';" in page_policy()
    assert "connect-src 'self' https://api.example.org:8443;" in page_policy(
        ["/v1", "https://api.example.org:8443/v1", "https://api.example.org:8443/v2"]
    )
    assert "unsafe" not in page_policy()
    with pytest.raises(ConfigurationError):
        page_policy(["https://a;b/"])
