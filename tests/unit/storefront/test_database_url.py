from __future__ import annotations

import pytest

from seawall.problems import ConfigurationError
from storefront.database import DEFAULT_URL, Database, database_url


def test_the_storefronts_own_variable_goes_first():
    both = {"STOREFRONT_DATABASE_URL": "sqlite:///own", "SEAWALL_DATABASE_URL": "sqlite:///all"}
    assert database_url(both) == "sqlite:///own"
    assert database_url({**both, "STOREFRONT_DATABASE_URL": ""}) == "sqlite:///all"
    assert database_url({}) == DEFAULT_URL


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("sqlite:///shop.sqlite3", "sqlite+aiosqlite"),
        ("sqlite+aiosqlite:///shop.sqlite3", "sqlite+aiosqlite"),
        ("postgresql://user@host/shop", "postgresql+asyncpg"),
        ("postgres://user@host/shop", "postgresql+asyncpg"),
        ("postgresql+asyncpg://user@host/shop", "postgresql+asyncpg"),
    ],
)
def test_the_driver_need_not_be_named(url, driver):
    assert Database(url).url.drivername == driver


@pytest.mark.parametrize(
    ("url", "fix"),
    [
        ("oracle://user:hunter2@host/shop", "'oracle' is not supported; use 'sqlite:///FILE'"),
        ("postgresql+psycopg://user:hunter2@host/shop", "is not supported; use"),
        ("sqlite:///:memory:", "name a file"),
        ("sqlite://", "name a file"),
        ("sqlite:///no/such/folder/shop.sqlite3", "there is no folder 'no/such/folder'; create it"),
        ("shop.sqlite3", "write it like 'sqlite:///shop.sqlite3'"),
        ("", "write it like"),
    ],
)
def test_a_url_that_cannot_be_used_says_what_to_do_and_no_password(url, fix):
    with pytest.raises(ConfigurationError) as caught:
        Database(url)
    assert fix in str(caught.value)
    assert "hunter2" not in str(caught.value)
