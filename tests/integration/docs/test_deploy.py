"""The files that show how to deploy: what they start can be started, and their times fit the settings."""

from __future__ import annotations

import configparser
import json
import shlex
from pathlib import Path

import typer

from seawall.cli.app import app
from seawall.settings import ServerSettings

DEPLOY = Path(__file__).resolve().parents[3] / "examples" / "docs" / "deploy"


def parsed(arguments: list[str]) -> dict[str, object]:
    """Return how the command line is read."""
    command = typer.main.get_command(app).commands[arguments[0]]  # type: ignore[attr-defined]
    return command.make_context("seawall", arguments[1:]).params


def test_the_unit() -> None:
    unit = configparser.ConfigParser(comment_prefixes="#")
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(DEPLOY / "shop.service")
    service = unit["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    found = parsed(arguments)
    assert program.endswith("/seawall")
    assert (found["target"], found["workers"]) == ("shop:service", 4)
    assert str(found["uds"]).startswith(f"/run/{service['RuntimeDirectory']}/")
    settings = ServerSettings()
    assert int(service["TimeoutStopSec"]) > settings.shutdown_seconds + 4
    assert int(service["TimeoutStartSec"]) > settings.worker_start_timeout


def test_the_image() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    program, *arguments = json.loads(next(line for line in lines if line.startswith("CMD")).removeprefix("CMD"))
    found = parsed(arguments)
    assert (program, found["host"], found["workers"]) == ("seawall", "0.0.0.0", 2)
