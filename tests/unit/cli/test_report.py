from __future__ import annotations

import pytest
import typer

from seawall.cli.report import CommandError, complain, reporting
from seawall.problems import ConfigurationError


def run(error, *, with_traceback=False):
    with pytest.raises(typer.Exit) as caught, reporting(with_traceback=with_traceback):
        raise error
    return caught.value.exit_code


def test_a_failure_is_one_message_and_status_1(capsys):
    assert run(ConfigurationError("setting http.timeout is wrong")) == 1
    captured = capsys.readouterr()
    assert captured.err == "error: setting http.timeout is wrong\n"
    assert captured.out == ""


def test_wrong_usage_is_status_2_and_hints_are_indented(capsys):
    assert run(CommandError("no such thing", "Did you mean this?", usage=True)) == 2
    assert capsys.readouterr().err == "error: no such thing\n  Did you mean this?\n"


def test_an_unexpected_error_says_how_to_see_more(capsys):
    assert run(ZeroDivisionError("division by zero")) == 1
    assert capsys.readouterr().err == (
        "error: unexpected ZeroDivisionError: division by zero\n  Run it again with --traceback to see where.\n"
    )


def test_a_failure_with_a_cause_says_how_to_see_more(capsys):
    error = CommandError("importing shop failed")
    error.__cause__ = NameError("x")
    run(error)
    assert "--traceback" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ConfigurationError("wrong"), ZeroDivisionError("wrong")])
def test_the_traceback_comes_when_asked_for(capsys, error):
    run(error, with_traceback=True)
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)")
    assert "Run it again" not in err


def test_an_exit_passes():
    assert run(typer.Exit(7)) == 7


def test_complaints_go_to_standard_error(capsys):
    complain("this", "and that")
    assert capsys.readouterr().err == "error: this\n  and that\n"
