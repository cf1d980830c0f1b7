from __future__ import annotations

import subprocess
import sys

import pytest

from seawall.data import redis
from seawall.data.backend import parse_url
from seawall.problems import ConfigurationError, DeclarationError
from seawall.settings import RedisSettings
from support.settings import service


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u@h/d", "postgresql+asyncpg"),
        ("mysql://u@h/d", "mysql+aiomysql"),
        ("mariadb://u@h/d", "mariadb+aiomysql"),
    ],
)
def test_the_driver_need_not_be_named(url, driver):
    assert parse_url(url).drivername == driver


@pytest.mark.parametrize(
    "url",
    [
        "oracle://u:hunter2@h/d",
        "postgresql://u:hunter2@h",
        "postgresql+psycopg://u:hunter2@h/d?password=hunter2",
        "hunter2",
    ],
)
def test_a_wrong_url_is_told_without_its_password(url):
    with pytest.raises(ConfigurationError) as caught:
        parse_url(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("http://:hunter2@h", "write it like"),
        ("redis+sentinel://:hunter2@a,b", "name the service"),
        ("redis+sentinel://:hunter2@a,b:x/main", "its port is no number"),
        ("redis+cluster://:hunter2@a/3", "no numbered databases"),
    ],
)
def test_a_wrong_redis_url_is_told_without_its_password(url, fix):
    with pytest.raises(ConfigurationError, match=fix) as caught:
        redis.connect(RedisSettings(url=url))
    assert "hunter2" not in str(caught.value)


@pytest.mark.anyio
async def test_sentinel_and_cluster_by_url():
    secure = redis.connect(RedisSettings(url="rediss+sentinel://u:p%40@a,b:27/main/2"))
    sentinel = secure.connection_pool.sentinel_manager
    assert [each.connection_pool.connection_kwargs["port"] for each in sentinel.sentinels] == [26379, 27]
    assert secure.connection_pool.connection_kwargs["password"] == "p@"
    assert secure.connection_pool.connection_kwargs["db"] == 2
    cluster = redis.connect(RedisSettings(url="redis+cluster://a:7000,b:7001"))
    assert {node.port for node in cluster.nodes_manager.startup_nodes.values()} == {7000, 7001}


@pytest.mark.parametrize("value", [-1, 11, 1.5, True, "3"])
def test_retries_are_a_small_whole_number(value):
    made = service()
    with pytest.raises(DeclarationError, match="retry_serialization"):  # noqa: PT012 - either may notice

        @made.get("/", retry_serialization=value)
        async def read() -> None: ...

        made.build()


def test_redis_needs_no_sqlalchemy_and_data_no_driver():
    heavy = "('sqlalchemy', 'redis')"
    code = f"import sys, seawall.data, seawall.data.redis; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
