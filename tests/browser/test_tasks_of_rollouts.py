"""What people come here to do with rollouts, done by clicks and keys alone; `test_tasks.py` has the other tasks."""

import pytest
from playwright.sync_api import expect

from control_plane.experiments.credits import FLAG
from dashboards.filters import NARROW
from tests.browser.conftest import Visit
from tests.browser.example_rollouts import APPROVED_FLAG


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


def test_a_how_a_rollout_stands(visit: Visit) -> None:
    victor = visit("victor")
    victor.link(FLAG)
    victor.expect(f"10{NARROW}% of new signups")
    victor.expect("Gates")
    assert victor.clicks == 1


def test_b_a_new_flag_with_a_plan_and_c_an_advance_that_is_not_possible_yet(visit: Visit) -> None:
    alice = visit()
    alice.link("New rollout")
    alice.fill("Flag", "MADE_BY_CLICKS")
    alice.fill("Reason", "A new one.")
    alice.button("Create the rollout")
    alice.expect("MADE_BY_CLICKS")
    expect(alice.page.get_by_role("button", name=alice.translate("Advance to"))).to_be_disabled()
    alice.expect("The soak time of this step lasts until")
    assert alice.clicks == 2


def test_d_approving_an_advance(visit: Visit) -> None:
    alice = visit()
    alice.link("APPROVED_BY_CLICKS")
    alice.link("Advance to 25 % of new signups…")
    alice.fill("Approve it all the same: why?", "Reviewed by hand.")
    alice.button("Advance to 25 % of new signups")
    alice.expect("done.")
    assert alice.clicks == 3


def test_d_approving_as_one_of_the_others_whom_the_plan_asks(visit: Visit) -> None:
    alice = visit()
    alice.link(APPROVED_FLAG)
    alice.link("Approve…")
    alice.fill("Why do you approve it?", "Support has seen it.")
    alice.button("Approve the step")
    alice.expect("Approved by ruth, alice.")
    assert alice.clicks == 3


def test_e_the_end_of_a_flag_that_was_rolled_back(visit: Visit) -> None:
    alice = visit()
    alice.link("Roll back… ARCHIVED_BY_CLICKS")
    alice.fill("Reason", "Nobody wants it.")
    alice.click(alice.page.get_by_label(alice.translate("In development and staging too")))
    alice.button("Roll back")
    alice.link("Archive…")
    alice.fill("Reason", "Its switch is out of the code.")
    alice.button("Archive")
    alice.expect("nobody has it, and no SDK gets it.")
    assert alice.clicks == 5


def test_e_holding_resuming_and_one_step_back(visit: Visit) -> None:
    olga = visit("olga")
    olga.link("HELD_BY_CLICKS")
    for action, done in (("Hold", "Held. Nobody"), ("Resume", "Resumed"), ("Step back to the beta allowlist", "done.")):
        olga.link(f"{action}…")
        olga.fill("Reason", "A test.")
        olga.click(olga.page.get_by_role("dialog").get_by_role("button", name=olga.translate(action)))
        olga.expect(done)
    assert olga.clicks == 7


def test_f_rolling_back_from_the_list_takes_two_clicks(visit: Visit) -> None:
    olga = visit("olga")
    olga.link("Roll back… STOPPED_BY_CLICKS")
    olga.fill("Reason", "Wrong balances.")
    olga.button("Roll back")
    olga.expect("Rolled back: the old version serves everybody in production.")
    assert olga.clicks == 2
    expect(olga.page.get_by_role("button", name=olga.translate("Re-arm…"))).to_be_disabled()


@pytest.mark.parametrize("path", ["/", "/audit", "/alerts", "/users", "/system", f"/rollouts/{FLAG}"])
def test_f_from_every_page_the_first_click_leads_to_the_button(visit: Visit, path: str) -> None:
    olga = visit("olga")
    olga.page.goto(path)
    olga.link("Roll back a flag…")
    expect(olga.page.get_by_label(olga.translate("Reason"))).to_be_focused()
    expect(olga.page.get_by_role("button", name=olga.translate(f"Roll back {FLAG}"))).to_be_enabled()
    assert olga.clicks == 1


def test_f_the_second_click_rolls_back(visit: Visit) -> None:
    olga = visit("olga")
    olga.link("Roll back a flag…")
    olga.fill("Reason", "Wrong balances.")
    olga.page.keyboard.press("Enter")  # which must not press the button of the first flag
    olga.button("Roll back STOPPED_FROM_ANYWHERE")
    olga.expect("Rolled back: the old version serves everybody in production.")
    assert olga.clicks == 2
