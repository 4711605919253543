"""A rollback is told by the browser to whoever asked for it and looks at another page; nobody else is disturbed."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import sign_in

RECORDING = """
window.shown = [];
window.Notification = class {
  static permission = "default";
  static async requestPermission() { return (this.permission = %s); }
  constructor(title, options) { window.shown.push([title, options.body, options.tag]); }
};
Object.defineProperty(document, "hidden", { get: () => %s });
"""
"""In place of the browser's own, which shows nothing where there is no desktop."""

Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.fixture
def visit(open_page: OpenPage) -> Visit:
    """`visit("/", answer="granted", hidden=True)` is a page of olga's in a browser that answers so."""

    def visit(path: str, *, answer: str = "granted", hidden: bool = True) -> Page:
        page = open_page()
        page.add_init_script(RECORDING % (json.dumps(answer), json.dumps(hidden)))
        sign_in(page, "olga")
        page.goto(path)
        return page

    return visit


def roll_back(page: Page, flag: str) -> None:
    page.goto(f"/rollouts/{flag}/rollback")
    page.get_by_label("Reason").fill("Wrong balances.")
    page.get_by_role("button", name="Roll back", exact=True).click()
    expect(page.locator("#state")).to_contain_text("Rolled back")


def notifications(page: Page) -> Any:
    return page.evaluate("window.shown")


def test_whoever_asked_is_told_once_of_a_rollback_that_has_just_happened(visit: Visit) -> None:
    listed, watching, other = visit("/"), visit("/rollouts/TOLD"), visit("/")
    for page in (listed, watching):
        page.get_by_role("button", name="Tell me of a rollback").click()
        expect(page.get_by_role("button", name="Tell me of a rollback")).to_be_hidden()
        expect(page.locator(".live-state")).to_have_text("Live")
    roll_back(other, "TOLD")
    expect(watching).to_have_title("Rolled back · TOLD · Rollout")
    expect(listed.locator('[data-rollback="TOLD 1"]')).to_be_attached()
    for page in (listed, watching):
        ((title, body, tag),) = notifications(page)
        assert (title, tag) == ("Rolled back · TOLD · Rollout", "TOLD 1")
        assert "the old version serves everybody in production. Wrong balances." in body
    watching.reload()
    assert notifications(watching) == []


@pytest.mark.parametrize(("answer", "hidden", "flag"), [("denied", True, "NOT_TOLD"), ("granted", False, "SEEN")])
def test_whoever_declined_or_looks_at_the_page_is_not_told(visit: Visit, answer: str, hidden: bool, flag: str) -> None:
    watching, other = visit(f"/rollouts/{flag}", answer=answer, hidden=hidden), visit("/")
    watching.get_by_role("button", name="Tell me of a rollback").click()
    expect(watching.locator(".live-state")).to_have_text("Live")
    roll_back(other, flag)
    expect(watching).to_have_title(f"Rolled back · {flag} · Rollout")
    assert notifications(watching) == []
