"""What type checkers say of the usage file, and that they would say something."""

from __future__ import annotations

import json
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


def pyright(*files: Path) -> list[str]:
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, *map(str, files)]
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


def test_pyright_sees_what_it_should() -> None:
    assert pyright(HERE / "usage.py") == []


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_wrong_option_that_nobody_marked_is_reported(checker: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(WRONG)
    found = mypy(file)[1] if checker == "mypy" else "\n".join(pyright(file))
    assert "timeuot" in found
