from __future__ import annotations

import io
import json
import logging
import re

import pytest
import structlog

from seawall.call import Call, enter, leave
from seawall.telemetry import logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def configured():
    """Configure into a buffer, and put everything back as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level

    def configure(level="info", wanted="json", stream=None):
        out = io.StringIO() if stream is None else stream
        logs.configure(level, wanted, out)
        return out

    yield configure
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def lines(out):
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_one_json_document_with_its_extras(configured):
    out = configured()
    logging.getLogger("shop").warning("sold %d", 3, extra={"item": "tea\nbag"})
    (line,) = lines(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {"level": "warning", "message": "sold 3", "logger": "shop", "item": "tea\nbag"}


def test_structlog_comes_out_the_same_way(configured):
    out = configured()
    structlog.get_logger("shop").info("sold", item="tea")
    (line,) = lines(out)
    assert (line["level"], line["message"], line["logger"], line["item"]) == ("info", "sold", "shop", "tea")


def test_lines_carry_the_request_they_belong_to(configured):
    out = configured()
    token = enter(Call(b"abc-1", "read_order"))
    try:
        logging.getLogger("shop").info("in")
    finally:
        leave(token)
    logging.getLogger("shop").info("out")
    first, second = lines(out)
    assert (first["request_id"], first["operation"]) == ("abc-1", "read_order")
    assert "request_id" not in second


@pytest.mark.parametrize(
    "name",
    ["password", "db_passwd", "Authorization", "set-cookie", "api_key", "token", "access_token", "client_secret"],
)
def test_secrets_are_struck_out(configured, name):
    out = configured()
    logging.getLogger("shop").info("in", extra={name: "hunter2", "headers": {name: "hunter2"}})
    (line,) = lines(out)
    assert line[name] == logs.HIDDEN
    assert line["headers"] == {name: logs.HIDDEN}


@pytest.mark.parametrize("name", ["tokens", "tokenizer", "key", "passenger"])
def test_what_only_resembles_a_secret_stays(configured, name):
    out = configured()
    logging.getLogger("shop").info("in", extra={name: 5})
    assert lines(out)[0][name] == 5


def test_less_severe_lines_are_left_out(configured):
    out = configured("warning")
    logging.getLogger("shop").info("no")
    structlog.get_logger("shop").info("no")
    logging.getLogger("shop").error("yes")
    assert [line["message"] for line in lines(out)] == ["yes"]


def test_the_level_can_change_while_it_runs(configured):
    out = configured("warning")
    logger = structlog.get_logger("shop")
    logger.info("no")
    logs.set_level("info")
    logger.info("yes")
    assert [line["message"] for line in lines(out)] == ["yes"]


def test_errors_bring_their_traceback_in_the_same_line(configured):
    out = configured()
    try:
        raise ValueError("wrong")
    except ValueError:
        logging.getLogger("shop").exception("failed")
    (line,) = lines(out)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: wrong")


def test_text_cannot_move_the_cursor_or_start_a_line(configured):
    out = configured(wanted="console")
    logging.getLogger("shop").info("GET /\x1b[2J\nforged", extra={"agent": "a\r\nb"})
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert r"GET /\x1b[2J\nforged" in out.getvalue()


def test_text_shows_no_local_variables(configured):
    out = configured(wanted="console")
    try:
        hidden = "hunter" + str(2)
        raise ValueError(len(hidden))
    except ValueError:
        logging.getLogger("shop").exception("failed")
    assert "ValueError: 7" in out.getvalue()
    assert "hunter2" not in out.getvalue()


def test_auto_is_text_on_a_terminal_and_json_elsewhere():
    assert logs.choose_format("auto", Terminal()) == "console"
    assert logs.choose_format("auto", io.StringIO()) == "json"
    assert logs.choose_format("json", Terminal()) == "json"


def test_the_server_is_quiet_unless_everything_is_wanted(configured):
    out = configured("debug")
    logs.quieter_server("info")
    logging.getLogger("uvicorn.error").warning("chatter")
    logging.getLogger("uvicorn.error").error("broken")
    assert [line["message"] for line in lines(out)] == ["broken"]
    logs.quieter_server("debug")
    logging.getLogger("uvicorn.error").info("chatter")
    assert len(lines(out)) == 2
