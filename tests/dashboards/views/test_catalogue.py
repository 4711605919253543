"""The catalogue on pages: what is sold, what a change would do and to whom, and adding it with a reason."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import audit
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store import plan_versions
from flags.store.directory import UserAttributes, upsert_users
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.dashboards.browsing import page_text, read_session, write_session
from tests.installation import Installation

SignIn = Callable[[str], FlaskClient]
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
LESS = """plans:
  - plan: free
    starts: 2100-04-01
    grace_days: 9
    limits: {analysis: {v2: 3, legacy: 3}, roast: {v2: 1, legacy: 1}}
"""
LIMITS = ", ".join(f"{plan}: {{v2: 2, legacy: 2}}" for plan in ("free", "starter", "pro", "plus", "custom"))
KIND = f"kinds: [{{kind: image, starts: 2100-04-01, packs: [20], limits: {{{LIMITS}}}}}]"
PRICES = "prices: [{price: pro_quarterly, plan: pro}, {price: pack_r, pack: {kind: roast, amount: 500, days: 30}}]"


@pytest.fixture
def stripe(app: Flask) -> Iterator[FakeApi]:
    """Stripe's API, with the key to it."""
    with fake_api.serving(VirtualStripe()) as api:
        with app.app_context():
            STRIPE_GATEWAY.set(app, connect(KEY, base_url=api.url))
        yield api


def send(client: FlaskClient, document: str, text: str, do: str = "preview", reason: str = "") -> str:
    """Send the form and return what the page says, with its status."""
    form = {"text": text, "do": do, "reason": reason}
    answer = client.post(f"/catalogue/{document}", data=form, headers=HEADERS, follow_redirects=True)
    return f"{answer.status_code} {page_text(answer.text)}"


def text_of(page: str) -> str:
    return unescape(page.partition('<textarea id="text"')[2].partition(">")[2].partition("</textarea>")[0])


def test_everybody_sees_what_is_sold_and_owners_alone_change_it(sign_in: SignIn) -> None:
    page = page_text(sign_in("victor").get("/catalogue").text)
    assert (
        "Plus plus 100 000 100 000 5 000 5 000 5 d plus_monthly , plus_yearly , creator_plus_monthly built in" in page
    )
    assert "unlimited" in page
    assert "Change" not in page
    assert "Change Plus" in page_text(sign_in("alice").get("/catalogue").text)
    for name in ("victor", "olga"):
        for document in ("plans", "kinds", "prices"):
            assert sign_in(name).get(f"/catalogue/{document}", headers=HEADERS).status_code == 403
            assert send(sign_in(name), document, LESS, "apply", "x").startswith("403")


def test_a_form_of_another_site_is_refused(app: Flask, sign_in: SignIn) -> None:
    form = {"text": LESS, "do": "apply", "reason": "x"}
    headers = {**HEADERS, "Sec-Fetch-Site": "cross-site"}
    assert sign_in("alice").post("/catalogue/plans", data=form, headers=headers).status_code == 403
    with read_session(app) as session:
        assert plan_versions.every(session) == ()


def test_a_preview_says_who_would_be_refused_and_whose_period_goes_on_and_changes_nothing(
    app: Flask, sign_in: SignIn
) -> None:
    installation, now = Installation(app), datetime.now(UTC)
    installation.plan()
    installation.watch()
    with write_session(app) as session:
        upsert_users(session, [UserAttributes("ada", "free", now), UserAttributes("bob", "pro", now)], now=now)
    with app.app_context():
        for number in range(4):
            run_operation(Operation("ada", f"op-{number}", Amounts(analysis=2), "service"), now=now)
    page = send(sign_in("alice"), "plans", LESS)
    assert page.startswith("200")
    assert "Free from 1 Apr 2100, 00:00 UTC" in page
    assert "it would have refused 3 operations of 1 user. ada" in page
    assert "Users who have it now: 1." in page
    assert "Billing periods that go on with their limits: 1, the last one until" in page
    assert "Analysis: 3 v2, 3 legacy (now 100 v2, 100 legacy)" in page
    assert "Days of grace for payments that fail from then on: 9." in page
    with read_session(app) as session:
        assert plan_versions.every(session) == ()


def test_a_version_is_added_with_a_reason_and_stands_there_with_who_made_it(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    refused = alice.post("/catalogue/plans", data={"text": LESS, "do": "apply", "reason": " "}, headers=HEADERS)
    assert refused.status_code == 422
    assert "a reason is required" in page_text(refused.text)
    assert text_of(refused.text) == LESS
    assert "1 entry was added." in send(alice, "plans", LESS, "apply", "Fewer for free.")
    page = page_text(alice.get("/catalogue").text)
    assert "To come Free free from 1 Apr 2100, 00:00 UTC" in page
    assert "Analysis: 3 v2, 3 legacy · Roast: 1 v2, 1 legacy · days of grace: 9 alice," in page
    assert "starts: '2100-04-01T00:00:00+00:00'" in page
    assert "All of that is in the catalogue already." in send(alice, "plans", LESS, "apply", "Again.")
    with read_session(app) as session:
        (entry,) = audit.latest(session, subject="plan:free")
    assert (entry.action, entry.actor, entry.reason) == ("credits.plan", "alice", "Fewer for free.")
    assert "Credit plan changed" in page_text(alice.get("/audit").text)


def test_a_kind_is_added(app: Flask, sign_in: SignIn) -> None:
    alice = sign_in("alice")
    assert "The kind Image from 1 Apr 2100, 00:00 UTC" in send(alice, "kinds", KIND)
    assert "1 entry was added." in send(alice, "kinds", KIND, "apply", "Pictures.")
    assert "To come The kind Image from 1 Apr 2100, 00:00 UTC" in page_text(alice.get("/catalogue").text)


def test_prices_are_held_against_stripes_and_added(app: Flask, sign_in: SignIn, stripe: FakeApi) -> None:
    alice = sign_in("alice")
    page = send(alice, "prices", PRICES)
    assert "pro_quarterly buys pro from" in page
    assert "pack_r buys 500 roast for 30 days" in page
    assert "Stripe does not sell pro_quarterly." in page
    assert "2 entries were added." in send(alice, "prices", PRICES, "apply", "A quarter.")
    assert "In force pro_quarterly buys pro from" in page_text(alice.get("/catalogue").text)
    with read_session(app) as session:
        (entry,) = audit.latest(session, subject="stripe:pack_r")
    assert (entry.action, entry.reason) == ("billing.price", "A quarter.")
    stripe.prices = ("pro_monthly", "gold_monthly")
    page = page_text(alice.get("/catalogue?stripe=compare").text)
    assert "Stripe sells gold_monthly or price_gold_monthly, which buys nothing here" in page
    assert "starter_monthly buys a plan here, and Stripe does not sell it." in page
    assert "pro_monthly buys a plan here" not in page


def test_a_stripe_that_does_not_answer_is_said_and_the_page_is_whole(sign_in: SignIn, stripe: FakeApi) -> None:
    alice = sign_in("alice")
    stripe.statuses = [500] * 20
    assert "pro_quarterly buys pro from" in (page := send(alice, "prices", PRICES))
    assert page.startswith("200")
    assert "APIError" in page or "500" in page
    assert "Plans in force" in page_text(alice.get("/catalogue?stripe=compare").text)


def test_without_a_key_the_page_says_which_setting_is_missing(sign_in: SignIn) -> None:
    assert "STRIPE_API_KEY" in page_text(sign_in("alice").get("/catalogue?stripe=compare").text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plans: [", "This is not valid YAML"),
        ("[" * 20_000, "nested too deeply"),
        ("plans: [{plan: free, starts: 2026-13-45, limits: {}}]", "plans.0.starts"),
        ("plans: [{plan: free, starts: 0001-01-01T00:00:00+14:00, limits: {}}]", "a start lies in the years"),
        ("plans: [{plan: free, starts: 9999-12-31, limits: {}}]", "a start lies in the years"),
        ("plans: [{plan: free, limits: {analysis: {v2: 1, legacy: 1}}}]", "roast"),
        ("plans: [{plan: free, limits: {analysis: {v2: %s, legacy: 1}}}]" % ("9" * 5_000), "more than 4,000 digits"),
        ("plans: [{plan: '<b>x</b>', limits: {}}]", "<b>x</b>"),
        ('plans: [{plan: "\\ud800", above: free, limits: {}}]', "can't be stored"),
        ('plans: [{plan: "a\\0b", above: free, limits: {}}]', "can't be stored"),
        ("plans: [&a {plan: free, limits: {}}, *a]", "instead of an alias"),
        ("plans: [{plan: free, plan: pro, limits: {}}]", "stands here twice"),
        (
            LESS.replace("2100", "2020"),
            "begun already",
        ),
        ("", "The document: names and their values are needed"),
        (
            "\n".join(f"x{number}: 1" for number in range(500)),
            "x19: Extra inputs are not permitted. And 480 more.",
        ),
        ("prices: []", "Extra inputs"),
        ("x" * 200_001, "too long"),
    ],
)
def test_what_can_t_be_taken_is_named_and_kept(app: Flask, sign_in: SignIn, text: str, said: str) -> None:
    form = {"text": text, "reason": "x"}
    alice = sign_in("alice")
    previewed = alice.post("/catalogue/plans", data={**form, "do": "preview"}, headers=HEADERS)
    assert previewed.status_code == 422
    assert said in page_text(previewed.text)
    assert text_of(previewed.text) == text
    applied = alice.post("/catalogue/plans", data={**form, "do": "apply"}, headers=HEADERS)
    assert applied.status_code == 422
    assert "Nothing was changed." in page_text(applied.text)
    with read_session(app) as session:
        assert plan_versions.every(session) == ()


@pytest.mark.parametrize(
    ("document", "text", "said"),
    [
        ("plans", "plans: [", "Línea 1: Esto no es YAML válido: se esperaba un valor y hay"),
        (
            "plans",
            "plans: [{plan: free, starts: 2026-13-45, limits: {}}]",
            "en plans.0.starts: hace falta una fecha",
        ),
        ("plans", "plans: [{plan: '', limits: {}}]", "en plans.0.plan: hace falta al menos un carácter."),
        ("plans", "x: 1\ny: 2", "en x: no existe ese campo; quítelo. Línea 2, en y: no existe ese campo"),
        ("plans", "plans: [{plan: free, limits: {}}]", "Plan 'free': necesita límites de cada tipo y de ningún otro"),
        ("plans", LESS.replace("2100", "2020"), "ya ha comenzado y lo concedido se mantiene"),
        ("kinds", KIND.replace("image", "Image!"), "Tipo 'Image!': escriba minúsculas y cifras."),
        ("prices", "prices: [{price: a}, {price: a}]", "Precio 'a': escriba un plan o un paquete, y no ambos."),
    ],
)
def test_a_mistake_is_said_in_spanish(sign_in: SignIn, document: str, text: str, said: str) -> None:
    asked = {"text": text, "do": "preview"}
    page = sign_in("alice").post(f"/catalogue/{document}", data=asked, headers={**HEADERS, "Accept-Language": "es"})
    assert said in page_text(page.text)


@pytest.mark.parametrize("document", ["plans", "plans?plan=pro", "plans?plan=nothing", "kinds", "prices"])
def test_what_a_form_begins_with_can_be_previewed(sign_in: SignIn, document: str) -> None:
    alice = sign_in("alice")
    text = text_of(alice.get(f"/catalogue/{document}").text)
    assert text
    assert send(alice, document.partition("?")[0], text).startswith("200")
