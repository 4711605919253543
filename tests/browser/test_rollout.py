"""A person at the page of a rollout: with the keyboard alone, without JavaScript, and beside somebody else."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Page, expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.pages import sign_in

TABS_MAXIMUM = 80


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.fixture
def visit(open_page: OpenPage) -> Callable[..., Page]:
    """`visit("alice", "A_FLAG")` is a page of hers at this rollout."""

    def visit(name: str, flag: str = FLAG, **options: object) -> Page:
        page = open_page(**options)
        sign_in(page, name)
        page.goto(f"/rollouts/{flag}")
        return page

    return visit


def test_advancing_takes_nothing_but_the_keyboard(visit: Callable[..., Page]) -> None:
    page = visit("alice", "BY_KEYBOARD")
    tab_to(page, page.get_by_role("link", name="Advance to 25 % of new signups…"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Reviewed by hand.")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Advance to 25 % of new signups")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="done.")).to_be_visible()
    expect(page.locator("#state")).to_contain_text(re.compile(r"25\s% of new signups"))


def test_rolling_back_takes_nothing_but_the_keyboard(visit: Callable[..., Page]) -> None:
    page = visit("olga", "STOPPED_BY_KEYBOARD")
    tab_to(page, page.get_by_role("link", name="Roll back…"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("Wrong balances.")
    for _ in ("the choice of environments", "Cancel", "Roll back"):
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Rolled back: the old version serves everybody in production.")).to_be_visible()
    expect(page.locator("#state")).to_contain_text("Wrong balances.")


def test_actions_stay_in_view_on_a_telephone_and_on_a_desk(visit: Callable[..., Page]) -> None:
    for width, height in ((390, 844), (1280, 800)):
        page = visit("alice", viewport={"width": width, "height": height})
        for name in ("Roll back…", "Hold…", "Advance to"):
            expect(page.get_by_role("link", name=name).or_(page.get_by_role("button", name=name))).to_be_in_viewport()


def test_the_tab_says_how_the_rollout_stands_and_follows_it(visit: Callable[..., Page]) -> None:
    watching, acting = visit("victor", "TITLED"), visit("olga", "TITLED")
    expect(watching).to_have_title("Running · TITLED · Rollout")
    expect(watching.locator(".live-state")).to_have_text("Live")
    hold(acting, "Weekend.")
    expect(watching).to_have_title("Held · TITLED · Rollout")
    assert "icon-caution" in (watching.locator("link[rel=icon]").get_attribute("href") or "")


def test_escape_leaves_the_dialog_and_changes_nothing(visit: Callable[..., Page]) -> None:
    page = visit("olga")
    opener = page.get_by_role("link", name="Roll back…")
    opener.click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(opener).to_be_focused()


def test_an_open_page_follows_what_somebody_else_does(visit: Callable[..., Page]) -> None:
    watching, acting = visit("victor", "FOLLOWED"), visit("olga", "FOLLOWED")
    expect(watching.locator(".live-state")).to_have_text("Live")
    hold(acting, "Weekend.")
    expect(watching.locator("#state")).to_contain_text("Weekend.")
    expect(watching.locator("#announcement")).to_contain_text("Held")


def test_the_time_up_to_which_the_page_is_true_moves_on(visit: Callable[..., Page]) -> None:
    page = visit("victor")
    first = page.locator("#as-of").text_content() or ""
    expect(page.locator("#as-of")).not_to_have_text(first)


def test_a_region_waits_until_nobody_is_about_to_click_in_it(visit: Callable[..., Page]) -> None:
    watching, acting = visit("olga", "HOVERED"), visit("alice", "HOVERED")
    expect(watching.locator(".live-state")).to_have_text("Live")
    watching.get_by_role("link", name="Hold…").hover()
    hold(acting, "Weekend.")
    expect(watching.locator("#state")).to_contain_text("Weekend.")
    expect(watching.get_by_role("link", name="Hold…")).to_be_visible()
    watching.mouse.move(5, 5)
    expect(watching.get_by_role("link", name="Resume…")).to_be_visible()


def test_what_was_written_is_not_swept_away(visit: Callable[..., Page]) -> None:
    writing, acting = visit("alice", "WRITTEN"), visit("olga", "WRITTEN")
    expect(writing.locator(".live-state")).to_have_text("Live")
    writing.get_by_role("link", name="Advance to").click()
    field = writing.get_by_label("Approve it all the same: why?")
    field.fill("Half a sent")
    field.blur()
    hold(acting, "Weekend.")
    expect(writing.locator("#state")).to_contain_text("Weekend.")
    expect(field).to_have_value("Half a sent")


def test_details_that_were_opened_stay_open(visit: Callable[..., Page]) -> None:
    watching, acting = visit("victor", "OPENED"), visit("olga", "OPENED")
    expect(watching.locator(".live-state")).to_have_text("Live")
    details = watching.locator("#gate-soak")
    details.locator("summary").click()
    watching.mouse.move(5, 5)
    watching.locator("h1").click()
    hold(acting, "Weekend.")
    expect(watching.locator("#next")).to_contain_text("It is held")
    expect(details).to_have_attribute("open", "")


def test_a_broken_line_is_said(visit: Callable[..., Page], complaints: list[str]) -> None:
    page = visit("victor")
    page.route("**/live/**", lambda route: route.abort())
    page.reload()
    expect(page.locator(".live-state")).to_have_text("Reconnecting…")
    expect(page.get_by_role("link", name="Refresh")).to_be_visible()
    for region, colours in {"#state": "grayscale(1)", "#guard": "grayscale(1)", "#bar": "none"}.items():
        expect(page.locator(region)).to_have_css("filter", colours)
    complaints.clear()


def test_everything_works_without_javascript(visit: Callable[..., Page]) -> None:
    page = visit("olga", "WITHOUT_SCRIPT", java_script_enabled=False)
    expect(page.get_by_role("link", name="Refresh")).to_be_visible()
    page.get_by_role("link", name="Roll back…").click()
    page.get_by_label("Reason").fill("Wrong balances.")
    page.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text("Rolled back: the old version serves everybody in production.")).to_be_visible()


@pytest.mark.parametrize("scripted", [True, False])
def test_chosen_colours_win_over_the_system(visit: Callable[..., Page], scripted: bool) -> None:
    page = visit("victor", java_script_enabled=scripted, color_scheme="light")
    page.locator(".menu summary").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_css("background-color", "rgb(19, 21, 23)")


def hold(page: Page, reason: str) -> None:
    """Hold the rollout by its dialog."""
    page.get_by_role("link", name="Hold…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name="Hold").click()
    expect(page.get_by_text("Held. Nobody was added or taken out.")).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until `wanted` has the focus."""
    for _ in range(TABS_MAXIMUM):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reached {wanted}.")
