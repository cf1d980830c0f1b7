"""The documentation shows what is: its code, its answers, its tables, its links."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sync_docs

DOCUMENTS = sync_docs.documents()
OURS = [path for path in DOCUMENTS if path.relative_to(sync_docs.ROOT).parts[:2] != ("docs", "reference")]
FENCE = re.compile(
    r"^(?:(?P<marker><!-- \w+: .* -->)\n+)?```(?P<language>\w*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(#[^)\s]*)?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(sync_docs.ROOT))


def anchors(path: Path) -> set[str]:
    prose = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    heads = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {"#" + re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_every_marked_block_is_what_the_project_says(path: Path) -> None:
    text = path.read_text()
    assert sync_docs.render(text) == text, "run: python scripts/sync_docs.py"


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_code_and_output_come_from_files(path: Path) -> None:
    for found in FENCE.finditer(path.read_text()):
        if found["language"] not in {"sh", ""}:
            assert found["marker"], f"a block of {found['language']} without a marker: {found['body'][:80]!r}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text()):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        there = (path.parent / target).resolve() if target else path
        assert there.exists(), f"{target} does not exist"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target}{anchor} has no such heading"


def test_every_how_to_is_on_the_map() -> None:
    shown = (sync_docs.ROOT / "docs" / "index.md").read_text()
    for path in sorted((sync_docs.ROOT / "docs" / "how-to").glob("*.md")):
        assert f"(how-to/{path.name})" in shown


def test_every_example_is_shown_somewhere() -> None:
    shown = "".join(path.read_text() for path in DOCUMENTS)
    for path in sorted((sync_docs.ROOT / "examples" / "docs").rglob("*")):
        if path.suffix in {".py", ".toml"} and path.parent.name not in {"wrong", "impossible"}:
            assert f"example: {name_of(path)}" in shown, f"{name_of(path)} is shown nowhere"


def test_decisions_are_numbered_and_short() -> None:
    decisions = sorted((sync_docs.ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        if not path.name.startswith("0010"):
            assert len(path.read_text().splitlines()) <= 30


def test_a_region_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="no region 'nowhere'"):
        sync_docs.example("examples/docs/operations.py#nowhere")
    with pytest.raises(ValueError, match="no file"):
        sync_docs.example("examples/docs/nothing.py")


def test_a_changed_answer_is_noticed() -> None:
    path = sync_docs.ROOT / "README.md"
    text = path.read_text()
    changed = text.replace('"sku":"tea"', '"sku":"gin"', 1)
    assert changed != text
    assert sync_docs.render(changed) == text
