"""The reference page in a real browser."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, Path(__file__).with_name("reference_app.py")], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.terminate()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        if os.environ.get("SEAWALL_REQUIRE_SERVICES") == "1":
            pytest.fail(f"chromium is required and {CHROMIUM} is not there")
        pytest.skip(f"chromium: {CHROMIUM} is not there")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Visit:
    """One page and everything it complained of or asked for."""

    def __init__(self, context: BrowserContext, address: str) -> None:
        self.address = address
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        context.on("request", lambda request: self.requests.append(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def open(self, path: str = "/docs") -> Page:
        self.page.goto(self.address + path)
        self.page.wait_for_selector(".opblock")
        return self.page

    def check(self) -> None:
        assert self.complaints == []
        elsewhere = [
            url for url in self.requests if not url.startswith((self.address, "data:", f"blob:{self.address}"))
        ]
        assert elsewhere == []
        assert len(self.requests) >= 6  # the page, four assets, the document


@pytest.fixture
def visit(browser: Browser, address: str) -> Iterator[Visit]:
    context = browser.new_context(color_scheme="light", service_workers="block")
    yield Visit(context, address)
    context.close()


def test_operations_are_shown(visit: Visit) -> None:
    page = visit.open()
    expect(page).to_have_title("Lamps & <chairs> · API reference")
    expect(page.locator(".opblock")).to_have_count(2)
    expect(page.locator("#operations-products-read_product")).to_contain_text("Return a product.")
    page.locator("#operations-products-create_product .opblock-summary-control").click()
    body = page.locator("#operations-products-create_product textarea.body-param__text")
    expect(body).to_have_value('{\n  "name": "Chair",\n  "price": "45.00"\n}')
    expect(page.locator("#operations-products-create_product")).to_contain_text("Invalid input")
    visit.check()


def test_an_operation_can_be_tried(visit: Visit) -> None:
    page = visit.open()
    operation = page.locator("#operations-products-read_product")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_placeholder("product_id").fill("7")
    with page.expect_response("**/products/7") as answer:
        operation.get_by_role("button", name="Execute").click()
    assert answer.value.json() == {"id": 7, "name": "Lamp", "price": "19.90"}
    assert answer.value.request.all_headers()["accept"] == "application/json"
    expect(operation.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
    expect(operation.locator(".live-responses-table")).to_contain_text('"name": "Lamp"')
    visit.check()


def test_what_is_wrong_is_not_sent(visit: Visit) -> None:
    page = visit.open()
    operation = page.locator("#operations-products-read_product")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_placeholder("product_id").fill("seven")
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator("input.invalid")).to_have_count(1)
    assert not any("/products/" in url for url in visit.requests)
    visit.check()


def test_a_link_cannot_show_another_document(visit: Visit) -> None:
    page = visit.open("/docs?url=https://example.org/evil.json&configUrl=https://example.org/evil.json")
    expect(page.locator(".opblock")).to_have_count(2)
    visit.check()


def test_the_theme_follows_the_system_until_it_is_chosen(visit: Visit) -> None:
    page = visit.open()
    root = page.locator("html")
    expect(root).not_to_have_class("dark-mode")
    page.emulate_media(color_scheme="dark")
    expect(root).to_have_class("dark-mode")
    page.get_by_role("button", name="Switch to the light theme").click()
    expect(root).not_to_have_class("dark-mode")
    visit.open()
    expect(root).not_to_have_class("dark-mode")
    visit.check()


def test_nothing_is_fetched_twice(visit: Visit) -> None:
    visit.open()
    with visit.page.expect_response("**/docs/assets/swagger-ui-bundle.*.js") as answer:
        visit.open()
    assert answer.value.headers["cache-control"] == "max-age=31536000, immutable"
    visit.check()
