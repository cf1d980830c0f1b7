"""What type checkers say of the usage file, and that they would say something."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WRONG = """
from seawall import Service

service = Service("shop")


@service.get("/orders", timeuot=2)
async def read() -> None:
    \"\"\"Read.\"\"\"
"""


def mypy(*files: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--no-pretty", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def pyright(folder: Path, *files: Path) -> list[str]:
    """Return what pyright reports, reading no ignoring comments but its own, and refusing those that ignore nothing."""
    folder /= "project"  # paths in the configuration are relative to it, so the files come along
    folder.mkdir()
    for file in files:
        shutil.copy(file, folder / file.name)
    config = {
        "include": [file.name for file in files],
        "typeCheckingMode": "strict",
        "enableTypeIgnoreComments": False,
        "reportUnnecessaryTypeIgnoreComment": "error",
        "reportUnusedFunction": "none",
        "pythonVersion": "3.11",
    }
    project = folder / "pyrightconfig.json"
    project.write_text(json.dumps(config))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(project)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("{"), done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["filesAnalyzed"] == len(files)
    return [
        f"{Path(item['file']).name}:{item['range']['start']['line'] + 1}: {item['message']}"
        for item in found["generalDiagnostics"]
        if item["severity"] in ("error", "warning")
    ]


def test_mypy_sees_what_it_should() -> None:
    assert mypy(HERE / "usage.py") == (0, "")


def test_pyright_sees_what_it_should(tmp_path: Path) -> None:
    assert pyright(tmp_path, HERE / "usage.py") == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_wrong_option_that_nobody_marked_is_reported(checker: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    found = mypy(file)[1] if checker == "mypy" else "\n".join(pyright(tmp_path, file))
    assert "timeuot" in found
