"""The documents of JSON Parsing Test Suite: what is JSON is accepted, what is not is a 400, and nothing is a 500."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.server import Server

DOCUMENTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "json-parsing"
FILES = sorted(DOCUMENTS.glob("*.json"))

if not FILES:
    pytest.skip("the documents of ../shared/data/json-parsing are not there", allow_module_level=True)


@pytest.mark.parametrize("path", ["/any", "/strict"])
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_document_gets_the_answer_it_should(server: Server, file: Path, path: str) -> None:
    reply = server.request("POST", path, body=file.read_bytes())
    if path == "/strict":
        assert reply.status in (400, 422)
    elif file.name.startswith("y_"):
        assert reply.status == 200, reply.body
    elif file.name.startswith("n_"):
        assert reply.status == 400, (reply.status, reply.body)
    else:
        assert reply.status in (200, 400)
    if reply.status != 200:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["detail"]


def test_the_documents_are_all_there() -> None:
    kinds = [file.name[:2] for file in FILES]
    assert (kinds.count("y_"), kinds.count("n_"), kinds.count("i_")) >= (95, 185, 35)
