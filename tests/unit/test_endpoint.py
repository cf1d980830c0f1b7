from __future__ import annotations

import stat

import pytest

from seawall.endpoint import bind
from seawall.problems import ConfigurationError


def test_a_unix_socket_has_the_permissions_asked_for_and_is_taken_away(tmp_path):
    path = tmp_path / "shop.sock"
    endpoint = bind("127.0.0.1", 0, path, 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    endpoint.close()
    assert not path.exists()


def test_a_unix_socket_in_use_is_named(tmp_path):
    path = tmp_path / "shop.sock"
    endpoint = bind("127.0.0.1", 0, path)
    endpoint.sockets[0].listen()
    with pytest.raises(ConfigurationError, match="is in use by another process"):
        bind("127.0.0.1", 0, path)
    endpoint.close()


def test_one_left_behind_is_replaced_and_a_file_is_not(tmp_path):
    path = tmp_path / "shop.sock"
    bind("127.0.0.1", 0, path).sockets[0].close()
    bind("127.0.0.1", 0, path).close()
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="is no socket"):
        bind("127.0.0.1", 0, path)
