from __future__ import annotations

import pytest

from seawall.cli.report import CommandError
from seawall.cli.serving import Where
from seawall.settings import Settings


@pytest.mark.parametrize(
    ("host", "port", "uds", "fds"),
    [(None, 1, "s", ()), ("localhost", None, "s", ()), (None, None, "s", (3,)), (None, 1, None, (3,))],
)
def test_one_place_can_be_named(host, port, uds, fds):
    with pytest.raises(CommandError, match="different places") as caught:
        Where(host, port, uds, fds).bind(Settings())
    assert caught.value.usage
