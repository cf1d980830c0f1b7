"""The example of the how-to does what the text says."""

import importlib.util
from pathlib import Path

import pytest

from seawall.testing.client import client

pytestmark = pytest.mark.anyio

EXAMPLE = Path(__file__).parents[3] / "examples/docs/idempotency.py"


async def test_the_example_pays_once(monkeypatch):
    monkeypatch.setenv("SEAWALL_IDEMPOTENCY_STORE", "memory")
    spec = importlib.util.spec_from_file_location("idempotency_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(__import__("sys").modules, "idempotency_example", module)
    spec.loader.exec_module(module)
    async with client(module.service) as http:
        answers = [
            await http.post("/payments", json={"amount": 5}, headers={"idempotency-key": '"a"'}) for _ in range(2)
        ]
        assert [answer.json() for answer in answers] == [{"payment": 1}] * 2
        assert (await http.post("/payments", json={"amount": 5})).status_code == 400
        assert [(await http.post("/notes", json={"amount": 1})).json() for _ in range(2)] == [2, 3]
