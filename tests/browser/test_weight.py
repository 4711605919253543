"""A page is light on the wire, with nothing in the browser's cache and with what pages share, and stays where it is."""

from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import CDPSession, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_screens import SCREENS

FIRST_BYTES_MAX = 60_000
LATER_BYTES_MAX = 20_000
SHIFTS = """
window.shifts = [];
new PerformanceObserver((list) => {
  for (const each of list.getEntries()) {
    const moved = each.sources.map(({ node }) => node?.id || node?.className);
    if (!each.hadRecentInput) window.shifts.push([each.value, moved]);
  }
}).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@dataclass
class ReceivedBytes:
    """Bytes on the wire with their headers, by whether the browser keeps what they hold; streams do not count."""

    kept: int = 0
    again: int = 0


def watched(page: Page) -> ReceivedBytes:
    """Count what the browser receives from now on."""
    session: CDPSession = page.context.new_cdp_session(page)
    answers, received = dict[str, dict[str, Any]](), ReceivedBytes()

    def note_answer(event: dict[str, Any]) -> None:
        answers[event["requestId"]] = event["response"]

    def note_end(event: dict[str, Any]) -> None:
        answer, size = answers[event["requestId"]], int(event["encodedDataLength"])
        headers = {name.lower(): value for name, value in answer["headers"].items()}
        if "immutable" in headers.get("cache-control", ""):
            received.kept += size
        elif answer["mimeType"] != "text/event-stream":
            received.again += size

    session.on("Network.responseReceived", note_answer)
    session.on("Network.loadingFinished", note_end)
    session.send("Network.enable")
    return received


@pytest.mark.parametrize("address", SCREENS.values(), ids=SCREENS.keys())
def test_a_screen_is_light_and_nothing_in_it_moves(open_page: OpenPage, signed_in: Any, address: str) -> None:
    page = open_page(storage_state=signed_in)
    page.add_init_script(SHIFTS)
    page.route("**/live/**", lambda _: None)  # what happens later may well move what stands below it
    received = watched(page)
    page.goto(address)
    assert received.kept > 0
    assert 0 < received.again <= LATER_BYTES_MAX
    assert received.kept + received.again <= FIRST_BYTES_MAX
    assert page.evaluate("window.shifts") == []


def test_nothing_moves_when_a_page_comes_alive(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in)
    page.add_init_script(SHIFTS)
    page.goto("/rollouts/WRITTEN")
    expect(page.locator(".live-state")).to_have_text("Live")
    assert [each for each in page.evaluate("window.shifts") if "as-of" in each[1]] == []
