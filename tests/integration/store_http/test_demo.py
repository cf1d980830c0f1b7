"""The demonstration, as ``make demo`` runs it where there is no terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

EXAMPLES = Path(__file__).parents[3] / "examples"
ENVIRON = {**os.environ, "PYTHONPATH": str(EXAMPLES), "COLUMNS": "120"}


def command(folder, *options):
    return [sys.executable, "-m", "storefront", "demo", "--folder", str(folder), *options]


def test_it_seeds_serves_drives_and_ends(tmp_path):
    run = subprocess.run(
        command(tmp_path / "demo", "--seconds", "6"),
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3,000 products and 10,000 orders of its seed (made now)" in run.stdout
    assert "Every one was answered as it should have been" in run.stdout
    assert re.search(r"The shop holds the [\d,]+ of them that it said it placed, and none twice", run.stdout)
    for kind in ("place order", "dashboard", "mistakes", "search products"):
        assert kind in run.stdout
    for says in ("payments answer after 3 s", "shipping breaks off mid-answer", "all is well again"):
        assert says in run.stdout
    assert "none twice, none for nothing" in run.stdout
    for name in ("payments", "shipping", "currency"):
        assert '"message":"stopped"' in (tmp_path / "demo" / f"{name}.log").read_text().splitlines()[-1]
    assert "Ctrl-C" not in run.stdout, "nobody is there to press it"
    assert '"message":"stopped"' in (tmp_path / "demo" / "server.log").read_text().splitlines()[-1]


def test_it_ends_when_it_is_told_to_and_takes_the_server_with_it(tmp_path):
    folder = tmp_path / "demo"
    process = subprocess.Popen(
        command(folder, "--seconds", "60"),
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        log, until = folder / "server.log", time.monotonic() + 60
        while time.monotonic() < until and not (log.exists() and "listening" in log.read_text()):
            time.sleep(0.1)
        time.sleep(1)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, output
    assert "Stopped." in output
    assert '"message":"stopped"' in log.read_text().splitlines()[-1]


def test_it_fails_where_there_is_no_database(tmp_path):
    run = subprocess.run(
        command(tmp_path / "demo", "--url", "postgresql://nobody@127.0.0.1:1/none"),
        env=ENVIRON,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "The database cannot be reached." in run.stderr
    assert "Traceback" not in run.stderr
