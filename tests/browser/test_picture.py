"""The picture of the README: taken first, while the traffic in it is fresh."""

import pytest
from playwright.sync_api import expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.pages import shoot, sign_in

COUNTED_MS = 30_000
"""Within this time the background has counted what the page shows besides."""
SIZE = {"width": 1200, "height": 1280}
HEADINGS = (FLAG, "Running", "New signups first", "Next step", "Guardrails", "Credit consumption failure")


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.mark.parametrize(("scheme", "name"), [("light", "rollout"), ("dark", "rollout-dark")])
def test_it_shows_what_it_says(open_page: OpenPage, scheme: str, name: str) -> None:
    page = open_page(color_scheme=scheme, viewport=SIZE)
    sign_in(page, "alice")
    page.goto(f"/rollouts/{FLAG}")
    for heading in HEADINGS:
        expect(page.get_by_role("heading", name=heading, exact=False).first).to_be_visible()
    expect(page.locator(".live-state")).to_have_text("Live")
    for region, counted in {"#exposure": "Known users", "#next": "Examined on"}.items():
        expect(page.locator(region)).to_contain_text(counted, timeout=COUNTED_MS)
    shoot(page, name)
