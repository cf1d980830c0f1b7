"""The commands of migrations and the example of the how-to, as a user has them."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.problems import ConfigurationError
from seawall.settings import DatabaseSettings, Settings
from seawall.testing.client import client

EXAMPLE = Path(__file__).parents[3] / "examples" / "docs" / "database.py"


@pytest.mark.anyio
async def test_from_the_first_migration_to_a_served_note(tmp_path, monkeypatch, caplog):
    shutil.copy(EXAMPLE, tmp_path / "noted.py")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SEAWALL_")}

    def run(*arguments):
        command = [sys.executable, "-m", "seawall", "db", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=kept, capture_output=True, text=True, timeout=60, check=False)

    assert "write the first one with" in run("upgrade", "noted").stderr
    assert run("revision", "noted", "-m", "first").returncode == 0
    missing = run("check", "noted")
    assert missing.returncode == 1
    assert "1 not applied" in missing.stderr

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import noted

    noted.service._settings = Settings(database=DatabaseSettings())
    with pytest.raises(ConfigurationError, match="1 migration was not applied"):
        async with noted.service.running():
            pass
    assert run("upgrade", "noted").returncode == 0
    assert run("check", "noted").returncode == 0
    async with client(noted.service) as http:
        assert (await http.post("/notes", json={"text": "a"})).json() == 1
        assert (await http.post("/notes", json={"text": "a"})).status_code == 409
        assert (await http.get("/notes/1")).json() == "a"
        assert (await http.get("/notes/2")).status_code == 404
        assert (await http.get("/notes")).json() == {"texts": ["a"], "next": None}
        assert (await http.get("/notes?cursor=x")).status_code == 422

    # The code of the release before: it does not know what the newer one has applied.
    (revision,) = (tmp_path / "migrations" / "versions").glob("*.py")
    held = revision.read_text()
    revision.unlink()
    with caplog.at_level(logging.WARNING, "seawall.data"):
        async with client(noted.service) as http:
            assert (await http.get("/notes/1")).json() == "a"
    (warning,) = [record.getMessage() for record in caplog.records if "ahead of this code" in record.getMessage()]
    assert "deploy the code that goes with it" in warning

    # A migration that is missing stops the start or, where the settings say so, is warned of.
    revision.write_text(held)
    (tmp_path / "seawall.sqlite3").unlink()
    noted.service._settings = Settings(database=DatabaseSettings(migrations_check="warn"))
    with caplog.at_level(logging.WARNING, "seawall.data"):
        async with client(noted.service) as http:
            assert (await http.get("/health/ready")).status_code == 200
    assert any("1 migration was not applied" in record.getMessage() for record in caplog.records)
