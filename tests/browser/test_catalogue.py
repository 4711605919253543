"""Writing a part of the catalogue: previewed, refused with what was written kept, and added with a reason."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in

NARROW = {"width": 320, "height": 720}
TEAM = """plans:
  - plan: team
    title: Team
    above: pro
    starts: 2100-04-01
    limits: {analysis: {v2: 20000, legacy: 20000}, roast: {v2: 2000, legacy: 2000}}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_plan_is_added_from_the_catalogue_on(open_page: OpenPage, complaints: list[str], scheme: str) -> None:
    owner = open_page(color_scheme=scheme, viewport=NARROW)
    sign_in(owner, "alice")
    written = TEAM.replace("plan: team", f"plan: {scheme}")
    owner.goto("/catalogue")
    owner.get_by_role("link", name="Change Pro").click()
    yaml = owner.get_by_label("As YAML")
    expect(yaml).to_have_value(_begins_with("plans:\n- plan: pro\n  title: Pro\n"))
    yaml.fill(written.replace("above: pro", "above: gold"))
    owner.get_by_role("button", name="Preview").click()
    expect(owner.get_by_role("heading", name="This can't be added yet")).to_be_visible()
    expect(owner.get_by_text("there is no plan 'gold' above which it could stand.")).to_be_visible()
    assert "422" in complaints.pop()
    assert_whole(owner)
    yaml.fill(written)
    owner.get_by_role("button", name="Preview").click()
    expect(owner.get_by_role("heading", name="Team from 1 Apr 2100, 00:00 UTC")).to_be_visible()
    assert_whole(owner)
    owner.get_by_label("Reason").fill("Teams asked for it.")
    owner.get_by_role("button", name="Add to the catalogue").click()
    expect(owner.get_by_role("status").filter(has_text="in")).to_be_visible()
    expect(owner.get_by_text(f"Team {scheme} from 1 Apr 2100, 00:00 UTC")).to_be_visible()
    assert_whole(owner)


def assert_whole(page: Page) -> None:
    """Fail where the page is not accessible, or wider than its window."""
    assert_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]


def _begins_with(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(text))
