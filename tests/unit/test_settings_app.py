"""Settings of applications, and what a reload may change."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from seawall.problems import ConfigurationError
from seawall.settings import (
    AppSettings,
    HttpSettings,
    LogSettings,
    OperationsSettings,
    Seconds,
    ServerSettings,
    Settings,
    SettingsError,
    Variable,
    changes,
    reloaded,
)


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


class Pool(BaseModel, extra="forbid"):
    size: int = 5
    password: SecretStr = SecretStr("")


class StoreSettings(AppSettings, table="storefront"):
    page_size: int = Field(20, ge=1, le=100, description="Products on a page.")
    patience: Seconds = 2.0
    database_url: Annotated[str, Variable("SEAWALL_DATABASE_URL")] = "sqlite://"
    names: list[str] | None = None
    pool: Pool = Pool()


class ShopSettings(AppSettings, table="shop", env_prefix="MY_SHOP_"):
    key: SecretStr = Field(min_length=10)

    @field_validator("key")
    @classmethod
    def _check(cls, key: SecretStr) -> SecretStr:
        if "!" in key.get_secret_value():
            raise ValueError(f"{key.get_secret_value()} has a '!'")
        return key


def test_an_application_reads_its_own_table(tmp_path):
    (tmp_path / "seawall.toml").write_text('[http]\nmax_body = 3\n[storefront]\npage_size = 30\npatience = "3s"\n')
    settings = StoreSettings.load(environ={"STOREFRONT_PAGE_SIZE": "40", "STOREFRONT_NAMES": "a, b"})
    assert (settings.page_size, settings.patience, settings.names) == (40, 3.0, ["a", "b"])
    assert StoreSettings(page_size=3).patience == 2.0


def test_a_shared_variable_gives_way_to_the_tables_own():
    shared = {"SEAWALL_DATABASE_URL": "postgresql://shared"}
    assert StoreSettings.load(environ={}).database_url == "sqlite://"
    assert StoreSettings.load(environ=shared).database_url == "postgresql://shared"
    assert StoreSettings.load(environ={**shared, "STOREFRONT_DATABASE_URL": "own"}).database_url == "own"


def test_nested_models_merge_file_and_environment(tmp_path):
    (tmp_path / "seawall.toml").write_text('[storefront.pool]\nsize = 7\npassword = "x"\n')
    pool = StoreSettings.load(environ={"STOREFRONT_POOL__SIZE": "9"}).pool
    assert (pool.size, pool.password.get_secret_value()) == (9, "x")


def test_what_is_wrong_in_a_nested_model_is_named_without_its_secrets(tmp_path):
    (tmp_path / "seawall.toml").write_text('[storefront.pool]\npassword = ["hunter2"]\nsise = "hunter2"\n')
    with pytest.raises(SettingsError) as caught:
        StoreSettings.load(environ={"STOREFRONT_POOL__SIZE": "x"})
    text = str(caught.value)
    assert "seawall.toml [storefront] pool.password" in text
    assert "seawall.toml [storefront] pool.sise" in text
    assert "environment variable STOREFRONT_POOL__SIZE" in text
    assert "hunter2" not in text


def test_the_prefix_can_be_chosen():
    assert ShopSettings.load(environ={"MY_SHOP_KEY": "0123456789"}).key.get_secret_value() == "0123456789"


def test_a_required_setting_that_is_missing():
    with pytest.raises(SettingsError) as caught:
        ShopSettings.load(environ={})
    text = str(caught.value)
    assert "environment variable MY_SHOP_KEY, or seawall.toml [shop] key" in text
    assert "it is required, and set nowhere" in text
    assert "expected: secret text, at least 10 long" in text


@pytest.mark.parametrize("secret", ["hunter2", "hunter2!hunter2!"])
def test_secrets_are_not_shown_whoever_complains(secret):
    with pytest.raises(SettingsError, match="environment variable MY_SHOP_KEY") as caught:
        ShopSettings.load(environ={"MY_SHOP_KEY": secret})
    assert "hunter2" not in str(caught.value)


def test_unknown_names_of_the_application(tmp_path):
    (tmp_path / "seawall.toml").write_text("[storefront]\npagesize = 3\n")
    with pytest.raises(SettingsError) as caught:
        StoreSettings.load(environ={"STOREFRONT_PAGE": "2", "STOREFRONT_PAGE_SIZE__X": "2"})
    text = str(caught.value)
    assert text.startswith("3 settings are wrong")
    assert "did you mean 'page_size'?" in text
    assert "did you mean STOREFRONT_PAGE_SIZE?" in text


def test_a_rule_of_the_whole_table_is_reported_for_the_table():
    class RangeSettings(AppSettings, table="range"):
        low: int = 1
        high: int = 2

        @model_validator(mode="after")
        def _ordered(self) -> RangeSettings:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    with pytest.raises(SettingsError, match=r"\[range\]\n.*problem:  low is above high"):
        RangeSettings.load(environ={"RANGE_LOW": "3"})


def test_a_default_that_is_wrong_is_called_one():
    class Broken(AppSettings, table="broken"):
        count: int = Field(0, ge=1)

    with pytest.raises(SettingsError, match=r"the default of seawall.toml \[broken\] count = 0"):
        Broken.load(environ={})


@pytest.mark.parametrize("table", ["http", "logs", "Sto", "", "a-b", "operations"])
def test_tables_that_cannot_be_an_applications(table):
    with pytest.raises(ConfigurationError, match=r"settings class 'Wrong': table="):
        type("Wrong", (AppSettings,), {}, table=table)


@pytest.mark.parametrize("prefix", ["shop_", "SHOP", "SEAWALL_SHOP_"])
def test_prefixes_that_cannot_be(prefix):
    with pytest.raises(ConfigurationError, match=r"settings class 'Wrong': env_prefix="):
        type("Wrong", (AppSettings,), {}, table="shop", env_prefix=prefix)


def test_aliases_are_refused():
    with pytest.raises(ConfigurationError, match="field 'key' has an alias"):

        class Wrong(AppSettings, table="shop"):
            key: str = Field(alias="clef")


# --- reload


def operations(**overrides: dict[str, object]) -> OperationsSettings:
    return OperationsSettings(overrides)


OLD = Settings(operations=operations(read={"timeout": 2}, gone={"compress": True}))
NEW = Settings(
    http=HttpSettings(max_body=5, cors_origins=("https://a.example",)),
    server=ServerSettings(port=9000),
    log=LogSettings(level="debug", format="json"),
    operations=operations(read={"timeout": 3, "max_body": 1}),
)


def test_changes_are_told_apart():
    applied, ignored = changes(OLD, NEW)
    assert [str(change) for change in applied] == [
        "http.max_body: 1048576 → 5",
        "log.level: 'info' → 'debug'",
        "operations.gone.compress: True → as in the code",
        "operations.read.max_body: as in the code → 1",
        "operations.read.timeout: 2 → 3",
    ]
    assert [change.name for change in ignored] == ["http.cors_origins", "server.port", "log.format"]
    assert changes(OLD, OLD) == ((), ())


def test_reloading_takes_what_may_change_and_nothing_else():
    settings = reloaded(OLD, NEW)
    assert (settings.http.max_body, settings.log.level, settings.operations) == (5, "debug", NEW.operations)
    assert (settings.server, settings.log.format, settings.http.cors_origins) == (OLD.server, "auto", ())
    assert changes(settings, NEW)[0] == ()
    assert changes(OLD, settings) == (changes(OLD, NEW)[0], ())
