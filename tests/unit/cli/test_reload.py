from __future__ import annotations

from pathlib import Path

from seawall.cli.reload import describe_changes


def test_names_changed_files_from_here():
    here = Path.cwd()
    assert describe_changes([str(here / "b.py"), str(here / "a" / "c.py"), str(here / "b.py")]) == "a/c.py, b.py"


def test_a_file_elsewhere_keeps_its_whole_name():
    assert describe_changes(["/elsewhere/x.py"]) == "/elsewhere/x.py"


def test_many_are_counted():
    here = Path.cwd()
    assert describe_changes(str(here / f"{name}.py") for name in "edcba") == "a.py, b.py, c.py and 2 more"
