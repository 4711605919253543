"""Every screen, in both colour schemes and on a telephone: accessible, within its width, and without a complaint."""

from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from control_plane.core.phases import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.pages import assert_accessible, sign_in

SCREENS = {
    "list": "/",
    "rollout": f"/rollouts/{FLAG}",
    "action": f"/rollouts/{FLAG}/rollback",
    "checklists": f"/rollouts/{FLAG}/checklists",
    "plan": f"/rollouts/{FLAG}/plan",
    "new-rollout": "/new-rollout",
    "roll-back": "/roll-back",
    "flags": "/flags",
    "flag": "/flag/checkout",
    "flag-definition": "/flag/checkout/environments/production",
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
    "catalogue": "/catalogue",
    "catalogue-plans": "/catalogue/plans?plan=pro",
    "connections": "/connections",
    "glossary": "/glossary",
    "audit": "/audit",
    "people": "/people",
    "system": "/system",
}
TELEPHONE = {"width": 390, "height": 844}


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    """Each colour scheme in turn."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def base_url(staged: str) -> str:
    """The rollouts that are worth looking at."""
    return staged


@pytest.fixture(scope="module")
def signed_in(browser: Browser, base_url: str) -> Any:
    """What a browser keeps once the owner has signed in."""
    with browser.new_context(base_url=base_url) as context:
        sign_in(context.new_page(), "alice")
        return context.storage_state()


@pytest.fixture
def alice(open_page: OpenPage, scheme: str, signed_in: Any) -> Page:
    """A page of the owner's in this scheme."""
    return open_page(color_scheme=scheme, storage_state=signed_in)


@pytest.mark.parametrize("address", SCREENS.values(), ids=SCREENS.keys())
def test_a_screen_is_accessible(alice: Page, address: str) -> None:
    alice.goto(address)
    assert_accessible(alice)


def test_the_dialog_is_accessible(alice: Page) -> None:
    alice.goto(SCREENS["rollout"])
    alice.get_by_role("link", name="Roll back…").click()
    assert_accessible(alice)


def test_signing_in_is_accessible(open_page: OpenPage, scheme: str) -> None:
    page = open_page(color_scheme=scheme)
    page.goto("/sign-in")
    assert_accessible(page)


def test_a_problem_is_a_page_and_accessible(alice: Page, complaints: list[str]) -> None:
    alice.goto("/rollouts/NOTHING")
    assert_accessible(alice)
    assert "404" in complaints.pop()


@pytest.mark.parametrize("address", SCREENS.values(), ids=SCREENS.keys())
def test_a_screen_fits_a_telephone(open_page: OpenPage, signed_in: Any, address: str) -> None:
    page = open_page(viewport=TELEPHONE, storage_state=signed_in)
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= TELEPHONE["width"]


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
