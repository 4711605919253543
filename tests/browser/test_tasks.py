"""What people come here for, done as they do it: by clicks and keys alone, from the front page, each click counted.

Run with `-s` to see the counts. The letters are those of the list of tasks in the product's reviews. `make test-faults`
does them on a telephone, `make test-long` in Spanish.
"""

import re

import pytest

from control_plane.experiments.credits import FLAG
from dashboards.filters import NARROW
from tests.browser.conftest import LANGUAGE_TAGS, OpenPage, Visit
from tests.browser.example_rollouts import PLAIN_FLAG, STRIPE_EVENT, USER
from tests.browser.pages import sign_in
from tests.browser.visitor import Visitor

IMPORTED = '{"version": 1, "features": [{"name": "till", "enabled": true, "strategies": [{"name": "default"}]}]}'


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


def test_g_explaining_a_user(visit: Visit) -> None:
    victor = visit("victor")
    victor.link("Explain")
    victor.fill("User id", USER)
    victor.button("Explain")
    victor.expect("How it was decided")
    assert victor.clicks == 2


def test_h_adding_to_the_beta_and_keeping_out(visit: Visit) -> None:
    alice = visit()
    alice.link("Users")
    alice.fill("User ids", USER)
    alice.button("Add to the beta")
    alice.expect("is on the beta allowlist")
    alice.fill("User id", "u-18")
    alice.fill("Reason", "Asked for.")
    alice.button("Keep out")
    alice.expect("Kept out by name.")
    assert alice.clicks == 3


def test_i_who_is_charged_differently_and_why(visit: Visit) -> None:
    alice = visit()
    alice.link("Credits")
    alice.link("Variances")
    alice.expect("The limits of the plan differ.")
    alice.link(re.compile(r"^No\. "))
    alice.expect("Rule that decided")
    assert alice.clicks == 3


def test_j_giving_credits_back(visit: Visit) -> None:
    alice = visit()
    alice.link("Credits")
    alice.fill("User id", USER)
    alice.button("Show credits")
    alice.open("Correct these credits")
    alice.fill("Roast credits", "1")
    alice.fill("Reason", "A complaint.")
    alice.button("Adjust credits")
    alice.expect("Adjusted in both books.")
    assert alice.clicks == 4


def test_k_a_token_and_code_to_begin_with(visit: Visit) -> None:
    alice = visit()
    alice.link("People")
    alice.fill("Name", "shop")
    alice.page.get_by_label(alice.translate("Opens"), exact=True).select_option("client")
    alice.button("Make token")
    alice.expect("startUnleash")
    alice.button("Copy the secret")
    assert alice.clicks == 3


def test_l_who_did_what_as_a_file(visit: Visit) -> None:
    victor = visit("victor")
    victor.link("Audit")
    victor.fill("Flag", FLAG)
    victor.button("Filter")
    with victor.page.expect_download() as download:
        victor.link("CSV")
    assert download.value.suggested_filename.endswith(".csv")
    assert victor.clicks == 3


def test_m_a_colleague_and_their_own_password(visit: Visit, open_page: OpenPage) -> None:
    alice = visit()
    alice.link("People")
    alice.fill("Username", "nora")
    alice.button("Add person")
    first = alice.page.get_by_label(alice.translate("Secret")).input_value()
    assert alice.clicks == 2
    page = open_page(locale=LANGUAGE_TAGS[alice.language])
    sign_in(page, "nora", first)
    nora = Visitor(page, alice.language)
    nora.open("nora")
    nora.link("Your account")
    nora.fill("Present password", first)
    nora.page.locator("#password").fill("a password of my own")
    nora.page.locator("#again").fill("a password of my own")
    nora.button("Change password")
    nora.expect("Your password was changed.")
    assert nora.clicks == 3


def test_n_which_sdks_are_connected(visit: Visit) -> None:
    victor = visit("victor")
    victor.link("System")
    victor.link("Connected SDKs")
    victor.expect("No SDK has asked for its flags in ten minutes")
    assert victor.clicks == 2


def test_o_what_an_alert_allows_and_overruling_it(visit: Visit) -> None:
    alice = visit()
    alice.link("Alerts")
    alice.link("API error rate")
    alice.expect("Threshold")
    alice.link(f"24{NARROW}h")
    alice.expect("Last 24 hours")
    alice.fill("Reason", "A planned test.")
    alice.button("Let it only notify")
    alice.expect(re.compile("only notif|another owner has to agree"))
    assert alice.clicks == 4


def test_p_applying_an_event_of_stripes_once_more(visit: Visit) -> None:
    olga = visit("alice")
    olga.link("Credits")
    olga.link("Stripe's events")
    olga.click(olga.page.locator(f'a[href$="{STRIPE_EVENT}"]'))
    olga.fill("Apply it once more: why?", "Stripe was repaired.")
    olga.button("Apply once more")
    olga.expect("It is applied once more within seconds.")
    assert olga.clicks == 4


def test_q_signing_an_item_of_a_checklist(visit: Visit) -> None:
    olga = visit("olga")
    olga.link(FLAG)
    olga.link("Checklists")
    closed = olga.page.locator("details.checklist:not([open]) > summary")
    if not olga.page.locator("summary", has_text=olga.translate("Sign…")).locator("visible=true").count():
        olga.click(closed.first)
    olga.click(olga.page.locator("summary", has_text=olga.translate("Sign…")).locator("visible=true").first)
    olga.fill("What was done?", "Told everybody.")
    olga.button("Sign")
    olga.expect("Signed by")
    assert olga.clicks <= 5


def test_r_an_advance_on_monday_at_nine(visit: Visit) -> None:
    alice = visit()
    alice.link("HELD_BY_CLICKS")
    alice.link("Plan")
    text = alice.page.get_by_label(alice.translate("As YAML"))
    plan = text.input_value()
    monday = "  advance: {at: 2027-01-04T09:00, zone: Europe/Madrid}\n"
    text.fill(plan.replace("  audience: everyone\n", f"  audience: everyone\n{monday}", 1))
    alice.fill("Reason", "On Monday at nine.")
    alice.button("Preview")
    alice.expect("It can be taken as it is.")
    alice.button("Change the plan")
    alice.expect("HELD_BY_CLICKS")
    assert alice.clicks == 4


def test_s_how_much_was_used(visit: Visit) -> None:
    alice = visit()
    alice.link("Credits")
    alice.link("Usage")
    alice.expect(re.compile(" in all"))
    assert alice.clicks == 2


def test_t_switching_a_flag_without_a_rollout(visit: Visit) -> None:
    alice = visit()
    alice.link("Flags without a rollout")
    alice.click(alice.page.get_by_role("link", name=PLAIN_FLAG))
    alice.open("Switch on… in staging")
    alice.fill("Switch on in staging: why?", "Ready to test.")
    alice.button("Switch on")
    alice.expect("Switched on in staging.")
    assert alice.clicks == 4


def test_u_flags_from_another_installation(visit: Visit) -> None:
    alice = visit()
    alice.link("Flags without a rollout")
    alice.link("Import flags")
    alice.fill("Or paste it here", IMPORTED)
    alice.button("Preview")
    alice.expect("What it would do in production")
    alice.fill("Reason", "From Unleash.")
    alice.button("Import")
    alice.expect("1 flag was imported into production.")
    assert alice.clicks == 4


def test_v_who_spends_from_an_account(visit: Visit) -> None:
    alice = visit()
    alice.link("Credits")
    alice.link("Members")
    alice.fill("Account", "u-400")
    alice.button("Show its members")
    alice.fill("User id", "u-401")
    alice.fill("Reason", "Hired.")
    alice.button("Add the member")
    alice.expect("From ten seconds on, u-401 spends from this account.")
    assert alice.clicks == 4


def test_w_erasing_a_person(visit: Visit) -> None:
    alice = visit()
    alice.link("Users")
    alice.link("Erase a person")
    alice.fill("User id", "u-402")
    alice.button("Look them up")
    alice.fill("Reason", "Asked by letter.")
    alice.fill("The user id once more", "u-402")
    alice.button("Erase for ever")
    alice.expect("What is left for you to do:")
    assert alice.clicks == 4


def test_x_whether_two_users_can_be_merged(visit: Visit) -> None:
    alice = visit()
    alice.link("Credits")
    alice.link("Stripe's events")
    alice.link("Merge two users")
    alice.fill("This user ends", "u-403")
    alice.fill("This user goes on", "u-404")
    alice.button("Compare")
    alice.expect(re.compile("so nothing can move"))
    assert alice.clicks == 4
