"""What every browser test does with a page: sign in, judge its accessibility, keep its picture."""

import os
import re
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.people import PASSWORD

ROOT = Path(__file__).parents[2]
STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Sign in by the form, as people do and in whatever language it is; by itself as somebody of the cast."""
    page.goto("/sign-in")
    page.locator("#username").fill(name)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")
    page.wait_for_url(lambda url: not url.rstrip("/").endswith("/sign-in"))


def assert_accessible(page: Page) -> None:
    """Fail with axe's own report when the page breaks WCAG 2.2 AA or a best practice."""
    results = Axe().run(page, options={"runOnly": STANDARDS})
    assert results.violations_count == 0, results.generate_report()


def shoot(page: Page, name: str) -> Path:
    """Keep a picture of the page: in docs/images with `SCREENSHOTS=1`, else where nobody commits it."""
    assert re.fullmatch(r"[a-z0-9-]+", name), name
    folder = "docs/images" if os.environ.get("SCREENSHOTS") == "1" else "tests/browser/shots"
    path = ROOT / folder / f"{name}.png"
    page.screenshot(path=path)
    return path
