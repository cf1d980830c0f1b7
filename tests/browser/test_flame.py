"""The flame graph and the index of profiling in a real browser, under their own Content-Security-Policy."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from support.process import Wire, served

CHROMIUM = Path("/usr/bin/chromium")
APP = Path(__file__).parents[1] / "integration" / "profiling"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
            pytest.fail(f"chromium is required and {CHROMIUM} is not there")
        pytest.skip(f"chromium: {CHROMIUM} is not there")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


def test_a_flame_graph_is_reached_from_the_index_zooms_and_finds(browser: Browser) -> None:
    with served("profiled_app:service", APP, SEAWALL_PROFILING_ENABLED="true") as each:
        host, port = each.address()
        page = browser.new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://{host}:{port}/debug/")
        expect(page.get_by_role("link", name="flame graph, 5 s")).to_be_visible()

        def burn() -> None:
            with Wire((host, port)) as client:
                client.get("/burn?seconds=4&pieces=400")

        burning = threading.Thread(target=burn)
        burning.start()
        page.goto(f"http://{host}:{port}/debug/cpu?seconds=2")
        burning.join()
        reset, boxes = page.locator("#reset"), page.locator("svg.box")
        expect(reset).to_be_disabled()
        spin = boxes.filter(has=page.locator("text", has_text="spin")).first
        spin.locator("rect").click(force=True)
        expect(spin).to_have_attribute("width", "100%")
        expect(reset).to_be_enabled()
        reset.click()
        expect(reset).to_be_disabled()
        page.locator("#search").fill("no such function")
        expect(page.locator("svg.box.miss")).to_have_count(boxes.count())
        page.locator("#search").fill("spin (profiled_app.py")
        assert page.locator("svg.box.miss").count() < boxes.count()
        assert [text for text in complaints if "favicon" not in text and "404" not in text] == []
