"""Where settings come from, and what is said when they are wrong."""

from __future__ import annotations

from pathlib import Path

import pydantic
import pytest

from seawall.problems import ConfigurationError
from seawall.settings import HttpSettings, LogSettings, ServerSettings, Settings, SettingsError, document, load
from seawall.settings.describing import bounds
from seawall.settings.loading import OWN_TABLES

REFERENCE = Path(__file__).parents[2] / "docs/reference/settings.md"


@pytest.fixture
def toml(tmp_path):
    def write(text: str) -> Path:
        path = tmp_path / "seawall.toml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """Keep a seawall.toml of the working directory out of the tests."""
    monkeypatch.chdir(tmp_path)


def complaint(path: Path | None = None, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load(path, environ)
    return str(caught.value)


# --- sources


def test_the_defaults_are_those_promised():
    settings = load(environ={})
    assert settings == Settings()
    http, server = settings.http, settings.server
    assert (settings.service.environment, settings.service.docs) == ("production", True)
    assert (http.max_body, http.max_header_count, http.max_header_bytes) == (1024**2, 100, 32 * 1024)
    assert (http.max_query_bytes, http.max_query_fields, http.max_path_bytes) == (8 * 1024, 100, 4 * 1024)
    assert (http.max_form_fields, http.max_form_files) == (100, 10)
    assert (http.body_timeout, http.timeout) == (30, 30)
    assert (http.compress, http.compress_min_bytes) == (True, 1024)
    assert http.trusted_proxies == http.trusted_hosts == http.cors_origins == ()
    assert (http.cors_credentials, http.security_headers, http.hsts_seconds) == (False, True, 0)
    assert (server.host, server.port, server.uds, server.keep_alive) == ("127.0.0.1", 8000, None, 5)
    assert (server.max_connections, server.shutdown_seconds) == (10_000, 30)
    assert (settings.log.level, settings.log.format) == ("info", "auto")
    assert settings.operations.of("anything") == {}


def test_the_environment_wins_over_the_file_and_the_file_over_the_defaults(toml):
    path = toml('[http]\nmax_body = "2 MiB"\ntimeout = 5\n[log]\nlevel = "error"\n')
    http = load(path, {"SEAWALL_HTTP_MAX_BODY": "3 MiB", "SEAWALL_SERVER_PORT": "9000"}).http
    assert http.max_body == 3 * 1024**2
    assert http.timeout == 5
    assert http.body_timeout == 30
    settings = load(path, {"SEAWALL_SERVER_PORT": "9000"})
    assert (settings.server.port, settings.log.level) == (9000, "error")


def test_the_file_is_found(toml, monkeypatch, tmp_path):
    path = toml("[server]\nport = 1234\n")
    assert load(environ={}).server.port == 1234  # ./seawall.toml
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert load(environ={}).server.port == 8000
    assert load(environ={"SEAWALL_CONFIG": str(path)}).server.port == 1234
    assert load(path, environ={"SEAWALL_CONFIG": "/nowhere.toml"}).server.port == 1234


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch):
    monkeypatch.setenv("SEAWALL_SERVER_PORT", "4321")
    assert load().server.port == 4321
    assert load(environ={}).server.port == 8000
    assert ServerSettings().port == 8000


def test_settings_are_frozen():
    with pytest.raises(pydantic.ValidationError, match="frozen"):
        HttpSettings().max_body = 3
    with pytest.raises(AttributeError):
        Settings().http = HttpSettings()


@pytest.mark.parametrize("text", ["a.example, *.b.example", '["a.example", "*.b.example"]', "a.example,*.b.example,"])
def test_lists_in_the_environment(text):
    assert load(environ={"SEAWALL_HTTP_TRUSTED_HOSTS": text}).http.trusted_hosts == ("a.example", "*.b.example")


def test_values_are_brought_into_one_form():
    settings = load(
        environ={
            "SEAWALL_HTTP_TRUSTED_PROXIES": "10.0.0.7, fd00::/8, unix",
            "SEAWALL_HTTP_CORS_METHODS": "get,post",
            "SEAWALL_HTTP_HSTS_SECONDS": "365d",
            "SEAWALL_HTTP_COMPRESS": "off",
            "SEAWALL_HTTP_TRUSTED_HOSTS": "",
            "SEAWALL_LOG_LEVEL": "WARNING",
        }
    )
    assert settings.http.trusted_proxies == ("10.0.0.7/32", "fd00::/8", "unix")
    assert settings.http.cors_methods == ("GET", "POST")
    assert settings.http.hsts_seconds == 365 * 86400
    assert settings.http.compress is False
    assert settings.http.trusted_hosts == ()
    assert settings.log.level == "warning"


# --- wrong values


def test_every_wrong_setting_is_named_with_source_value_expectation_and_fix(toml):
    path = toml('[http]\nmax_body = "1 mb"\n[log]\nlevel = "loud"\n')
    text = complaint(path, SEAWALL_SERVER_PORT="80800", SEAWALL_HTTP_TIMEOUT="0")
    assert text.startswith("4 settings are wrong:")
    assert f"{path} [http] max_body = '1 mb'" in text
    assert "did you mean 'MB'?" in text
    assert 'remove the line for the default "1 MiB"' in text
    assert f"{path} [log] level = 'loud'" in text
    assert 'expected: "debug" or "info"' in text
    assert "environment variable SEAWALL_SERVER_PORT = '80800'" in text
    assert "expected: whole number, at least 0, at most 65535" in text
    assert "unset SEAWALL_SERVER_PORT for the default 8000" in text
    assert "environment variable SEAWALL_HTTP_TIMEOUT = '0'" in text
    assert "expected: seconds, more than 0s, at most 1d" in text


def test_it_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="1 setting is wrong"):
        load(environ={"SEAWALL_LOG_FORMAT": "xml"})


def test_one_wrong_member_of_a_list_is_named(toml):
    path = toml('[http]\ntrusted_proxies = ["10.0.0.0/8", "10.0.0.1/8"]\n')
    text = complaint(path, SEAWALL_HTTP_CORS_ORIGINS="https://a.example, https://b.example/")
    assert "[http] trusted_proxies[1] = '10.0.0.1/8'" in text
    assert "has host bits set" in text
    assert "'https://b.example/' is not an origin; write \"https://shop.example.com\"" in text


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("SEAWALL_HTTP_MAX_BODY", ""),
        ("SEAWALL_HTTP_MAX_BODY", "2000 TiB"),
        ("SEAWALL_HTTP_MAX_HEADER_COUNT", "1.5"),
        ("SEAWALL_HTTP_CORS_HEADERS", "X Y"),
        ("SEAWALL_HTTP_CORS_ORIGINS", "[1"),
        ("SEAWALL_HTTP_HSTS_SECONDS", "1.5"),
        ("SEAWALL_HTTP_COMPRESS", "perhaps"),
        ("SEAWALL_SERVER_PORT", "-1"),
        ("SEAWALL_SERVER_PORT", "tcp://10.0.0.7:8000"),
        ("SEAWALL_SERVER_HOST", ""),
        ("SEAWALL_SERVER_UDS", "/" * 200),
        ("SEAWALL_SERVER_KEEP_ALIVE", "inf"),
        ("SEAWALL_SERVICE_ENVIRONMENT", "staging"),
    ],
)
def test_values_that_cannot_be(variable, value):
    assert f"environment variable {variable} = " in complaint(**{variable: value})


def test_credentials_for_everybody_are_refused_wherever_the_two_come_from(toml):
    path = toml('[http]\ncors_origins = ["*"]\n')
    assert load(path, {}).http.cors_origins == ("*",)
    text = complaint(path, SEAWALL_HTTP_CORS_CREDENTIALS="true")
    assert "environment variable SEAWALL_HTTP_CORS_CREDENTIALS = 'true'" in text
    assert 'cors_origins is "*"' in text
    assert load(environ={"SEAWALL_HTTP_CORS_CREDENTIALS": "1", "SEAWALL_HTTP_CORS_ORIGINS": "https://a.example"})


def test_passwords_in_urls_are_not_shown():
    assert "hunter2" not in complaint(SEAWALL_HTTP_CORS_ORIGINS="https://me:hunter2@shop.example/")


# --- unknown names


def test_unknown_keys_get_a_suggestion(toml):
    path = toml("[http]\nmax_bdy = 3\nzzz = 1\n[htpp]\nmax_body = 3\n")
    text = complaint(path)
    assert f"{path} [http] max_bdy\n" in text
    assert "did you mean 'max_body'?" in text
    assert f"{path} [http] zzz\n" in text
    assert "remove it; known are timeout, body_timeout" in text
    assert "did you mean [http]?" in text


def test_a_setting_outside_its_table(toml):
    assert "move it below the line [http]" in complaint(toml("max_body = 3\n"))
    assert "move it below the line of its table" in complaint(toml("colour = 3\n"))
    assert "it must be a table" in complaint(toml("http = 3\n"))
    assert "it must be a table" in complaint(toml("operations = 3\n"))


@pytest.mark.parametrize("name", ["logs", "LOG", "sever", "srever", "servers", "operation", "htttp"])
def test_tables_that_are_nearly_ours(toml, name):
    assert "did you mean [" in complaint(toml(f"[{name}]\n"))


@pytest.mark.parametrize("name", ["storefront", "blog", "login", "catalog", "user_service", "database"])
def test_tables_of_the_application_are_left_alone(toml, name):
    assert load(toml(f"[{name}]\nanything = 3\n"), {}) == Settings()


def test_unknown_variables_get_a_suggestion_and_do_not_show_their_value():
    text = complaint(SEAWALL_HTTP_MAX_BODDY="hunter2", SEAWALL_PORT="hunter2", SEAWALL_XYZZY="hunter2")
    assert "environment variable SEAWALL_HTTP_MAX_BODDY\n" in text
    assert "did you mean SEAWALL_HTTP_MAX_BODY?" in text
    assert "did you mean SEAWALL_SERVER_PORT?" in text
    assert "fix:      unset it" in text
    assert "hunter2" not in text


def test_lower_case_variables_set_nothing():
    assert "SEAWALL_HTTP_max_body" in complaint(SEAWALL_HTTP_max_body="3")
    assert load(environ={"seawall_http_max_body": "3"}) == Settings()


def test_variables_of_others_are_left_alone():
    assert load(environ={"SEAWALL_DATABASE_URL": "x", "SEAWALL_BROKER_URL": "x", "PATH": "x", "SEA": "x"}) == Settings()


def test_variables_that_kubernetes_sets_for_a_service_called_seawall():
    links = {
        "SEAWALL_PORT": "tcp://10.0.0.7:8000",
        "SEAWALL_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "SEAWALL_PORT_8000_TCP_ADDR": "10.0.0.7",
        "SEAWALL_SERVICE_HOST": "10.0.0.7",
        "SEAWALL_SERVICE_PORT": "8000",
        "SEAWALL_SERVICE_PORT_HTTP": "8000",
    }
    assert load(environ=links) == Settings()
    assert load(environ={**links, "SEAWALL_SERVICE_DOCS": "no"}).service.docs is False
    assert "SEAWALL_SERVICE_PORT" in complaint(SEAWALL_SERVICE_PORT="8000")


# --- the file


def test_files_that_cannot_be_read(toml, tmp_path):
    text = complaint(SEAWALL_CONFIG="nowhere.toml", SEAWALL_LOG_LEVEL="loud")
    assert "environment variable SEAWALL_CONFIG = 'nowhere.toml'" in text
    assert "No such file" in text
    assert "SEAWALL_LOG_LEVEL" in text  # and what else is wrong
    assert "No such file" in complaint(Path("nowhere.toml"))
    assert "cannot be read" in complaint(tmp_path)
    assert "not TOML: Expected '=' after a key" in complaint(toml("[http]\nmax_body\n"))
    broken = tmp_path / "latin.toml"
    broken.write_bytes(b"# \xff")
    assert "not UTF-8 at byte 2" in complaint(broken)
    assert "not TOML" in complaint(toml("a = " + "[" * 100_000))


# --- operations


def test_operations_from_file_and_environment(toml):
    path = toml('[operations.read_order]\ntimeout = "2s"\ncompress = true\n[operations."a.b"]\nmax_body = "none"\n')
    operations = load(
        path,
        {
            "SEAWALL_OPERATIONS__READ_ORDER__TIMEOUT": "500ms",
            "SEAWALL_OPERATIONS__PLACE__ORDER__MAX_BODY": "5",
            "SEAWALL_OPERATIONS__LIST__TIMEOUT": "null",
            "SEAWALL_OPERATIONS__LIST__COMPRESS": "false",
            "SEAWALL_OPERATIONS__LIST__MAX_BODY": "NaN",
        },
    ).operations
    assert operations.of("read_order") == {"timeout": "500ms", "compress": True}
    assert operations.of("a.b") == {"max_body": None}
    assert operations.of("place__order") == {"max_body": 5}
    assert operations.of("list") == {"timeout": None, "compress": False, "max_body": "NaN"}
    assert operations.of("other") == {}
    assert operations.origins["read_order", "compress"] == f"{path} [operations.read_order] compress"
    assert operations.origins["list", "timeout"] == "environment variable SEAWALL_OPERATIONS__LIST__TIMEOUT"


def test_operations_that_name_nothing(toml):
    text = complaint(
        toml("[operations]\ntimeout = 3\n"), SEAWALL_OPERATIONS__TIMEOUT="3", SEAWALL_OPERATIONS_LIST_TIMEOUT="3"
    )
    assert "[operations] timeout = 3\n" in text
    assert "SEAWALL_OPERATIONS__TIMEOUT\n" in text
    assert "write SEAWALL_OPERATIONS__NAME__OPTION" in text
    assert "SEAWALL_OPERATIONS_LIST_TIMEOUT\n" in text
    assert "with double underscores" in text


# --- the reference


def test_every_setting_is_described_and_every_number_has_bounds():
    for table in OWN_TABLES:
        for name, field in table.model_fields.items():
            assert field.description, name
            assert field.description.endswith("."), name
            if isinstance(field.default, int | float) and not isinstance(field.default, bool):
                assert "at most" in bounds(field), name


def test_the_reference_is_up_to_date():
    assert REFERENCE.read_text("utf-8") == document(), "run: python -m seawall.settings > docs/reference/settings.md"


def test_the_reference_names_every_setting():
    text = document()
    for table in (HttpSettings, ServerSettings, LogSettings):
        for name in table.model_fields:
            assert f"| `{name}` | `SEAWALL_{table.toml_table.upper()}_{name.upper()}` |" in text
