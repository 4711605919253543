"""Every screen, in both colour schemes and on a telephone: accessible, within its width, and without a complaint."""

from typing import Any

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import VIEWPORT, OpenPage
from tests.browser.example_rollouts import APPROVED_FLAG, STRIPE_EVENT
from tests.browser.layout import assert_tidy
from tests.browser.pages import assert_accessible

SCREENS = {
    "list": "/",
    "rollout": f"/rollouts/{FLAG}",
    "action": f"/rollouts/{FLAG}/rollback",
    "checklists": f"/rollouts/{FLAG}/checklists",
    "approvals": f"/rollouts/{APPROVED_FLAG}/approvals",
    "plan": f"/rollouts/{FLAG}/plan",
    "new-rollout": "/new-rollout",
    "roll-back": "/roll-back",
    "flags": "/flags",
    "flag": "/flag/checkout",
    "flag-definition": "/flag/checkout/environments/production",
    "import": "/flags/import",
    "segments": "/segments",
    "segment": "/segments/production/3",
    "segment-form": "/segments/production/3/edit",
    "explain": "/explain?user=u-17",
    "users": "/users",
    "alerts": "/alerts",
    "alert": "/alerts/credit_consumption_failure",
    "credits": "/credits?user=u-17",
    "variances": "/credits/variances",
    "operation": "/credits/operations/1",
    "usage": "/usage",
    "usage-accounts": "/usage?by=account",
    "usage-account": "/usage?account=u-17",
    "billing": "/billing",
    "billing-event": f"/billing/{STRIPE_EVENT}",
    "catalogue": "/catalogue",
    "catalogue-plans": "/catalogue/plans?plan=pro",
    "members": "/credits/members",
    "members-of": "/credits/members?account=u-17",
    "merge": "/credits/merge?user=u-17&into=u-18",
    "erasures": "/erasures",
    "connections": "/connections",
    "glossary": "/glossary",
    "audit": f"/audit?flag={FLAG}",
    "people": "/people",
    "system": "/system",
}
TELEPHONE: ViewportSize = {"width": 390, "height": 844}
PAPER = {"width": 794, "height": 1123}
"""A4 at 96 dots per inch."""
WIDTHS = (320, 390, 768, 1024, 1280, 1920)
BEYOND_THEIR_PLACE = """() => {
    const right = (each) => each.getBoundingClientRect().right;
    const fields = [...document.querySelectorAll("main .field > :is(input, select)")];
    return fields.filter((each) => right(each) > right(each.parentElement) + 0.5).map((each) => each.id);
}"""
"""Fields of forms that are wider than the place they have, as those of dates once were on a telephone."""


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Each colour scheme in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.fixture
def alice(open_page: OpenPage, scheme: str, signed_in: Any) -> Page:
    """A page of the owner's in this scheme."""
    return open_page(color_scheme=scheme, storage_state=signed_in)


@pytest.mark.parametrize("address", SCREENS.values(), ids=SCREENS.keys())
def test_a_screen_fits_every_width_and_is_accessible_light_on_a_desk_and_dark_on_a_telephone(
    open_page: OpenPage, signed_in: Any, address: str
) -> None:
    page = open_page(color_scheme="light", storage_state=signed_in)
    page.goto(address)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": VIEWPORT["height"]})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BEYOND_THEIR_PLACE) == []
        assert_tidy(page)
    page.set_viewport_size(VIEWPORT)
    assert_accessible(page)
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size(TELEPHONE)
    page.evaluate("document.querySelectorAll('main details').forEach((each) => { each.open = true; })")
    assert_accessible(page)


def test_each_dialog_is_accessible(alice: Page) -> None:
    alice.goto(SCREENS["rollout"])
    openers = alice.locator("[data-dialog]")
    assert openers.count() >= 3
    for viewport in (VIEWPORT, TELEPHONE):
        alice.set_viewport_size(viewport)
        for opener in openers.all():
            opener.click()
            expect(alice.get_by_role("dialog")).to_be_visible()
            assert_accessible(alice)
            alice.keyboard.press("Escape")


def test_signing_in_is_accessible(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.goto("/sign-in")
    assert_accessible(page)


def test_a_problem_is_a_page_and_accessible(alice: Page, complaints: list[str]) -> None:
    alice.goto("/rollouts/NOTHING")
    assert_accessible(alice)
    assert "404" in complaints.pop()


@pytest.mark.parametrize("address", [SCREENS[name] for name in ("rollout", "audit", "variances", "plan", "system")])
def test_a_screen_is_printed_in_light_colours_without_what_one_presses(
    open_page: OpenPage, signed_in: Any, address: str
) -> None:
    page = open_page(color_scheme="dark", viewport=PAPER, storage_state=signed_in)
    page.goto(address)
    page.emulate_media(media="print")
    expect(page.locator("html")).to_have_css("background-color", "rgb(247, 246, 242)")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("nav, button, .action-bar").locator("visible=true")).to_have_count(0)
    expect(page.locator("details:not([open])", has_not_text="fields").locator("visible=true")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") <= PAPER["width"]
    assert_tidy(page)


def test_a_customers_id_stands_in_one_line_of_the_table_of_events_on_a_telephone(
    open_page: OpenPage, signed_in: Any
) -> None:
    page = open_page(viewport=TELEPHONE, storage_state=signed_in)
    page.goto(SCREENS["billing"])
    lines = page.locator("td > code").evaluate_all("(found) => found.map((each) => each.getClientRects().length)")
    assert lines == [1]


def test_the_cells_of_a_table_keep_apart_whatever_their_alignment(alice: Page) -> None:
    alice.goto(SCREENS["audit"])
    gap = alice.evaluate(
        """() => {
            const main = document.querySelector("main");
            main.innerHTML = '<table><tr><td class="number">0</td><td>14</td><td class="number">1</td></tr></table>';
            const boxes = [...main.querySelectorAll("td")].map((cell) => {
                const range = document.createRange();
                range.selectNodeContents(cell);
                return range.getBoundingClientRect();
            });
            return Math.min(boxes[1].left - boxes[0].right, boxes[2].left - boxes[1].right);
        }"""
    )
    assert gap >= 8
