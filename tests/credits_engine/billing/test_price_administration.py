"""A price is an entry of a file: what is sold, from when on, without a release."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient

from control_plane.app import create_app
from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import cli_support
from control_plane.platform.settings import Settings
from credits_engine.billing import price_administration, schedule
from credits_engine.billing.cli import billing_group
from credits_engine.billing.entitlements.plan_of_prices import is_mapped
from credits_engine.billing.entitlements.price_list import catalogue
from credits_engine.billing.inbox.worker import Worker
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from credits_engine.store.tables import PACKS
from tests import people
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY
from tests.credits_engine.billing.virtual_sales import invoices_of, one_off_line, sell
from tests.credits_engine.billing.virtual_stripe import START, VirtualStripe

Run = Callable[..., Result]
HOUR = timedelta(hours=1)
QUARTERLY = "prices: [{price: pro_quarterly, plan: pro}]"
PACK = "prices: [{price: pack_roast_500, pack: {kind: roast, amount: 500, days: 30}}]"


@pytest.fixture
def run(billing: Billing, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `rollout billing prices …`; a text of YAML stands for its file."""
    monkeypatch.setattr(cli_support, "application", lambda **_: billing.app)

    def run(*arguments: str) -> Result:
        path = tmp_path / "prices.yaml"
        words = []
        for word in arguments:
            if word.startswith("prices:"):
                path.write_text(word)
            words.append(str(path) if word.startswith("prices:") else word)
        return CliRunner().invoke(billing_group, ["prices", *words])

    return run


def apply(billing: Billing, text: str) -> price_administration.Difference:
    with transaction() as session:
        return price_administration.apply(
            session, price_administration.parsed(text), ChangeContext(billing.now, "alice", "A new offer.")
        )


def test_a_new_price_of_a_plan_lets_those_go_on_who_bought_it(billing: Billing) -> None:
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_quarterly")
    billing.process(stripe.events, at=START)
    assert "parked" in billing.states().values()
    with read_only() as session:
        found = price_administration.difference(session, price_administration.parsed(QUARTERLY), billing.now)
    assert found.waiting["pro_quarterly"] >= 1
    apply(billing, QUARTERLY)
    schedule.reload_prices(billing.now)
    billing.work(at=START + HOUR)
    assert billing.user("ada") == ("pro", START)
    assert set(billing.states().values()) <= {"applied", "superseded"}
    assert not price_administration.reload(billing.now), "nothing has changed since"


def test_a_new_pack_is_granted_for_as_long_as_it_says(billing: Billing) -> None:
    apply(billing, PACK)
    schedule.reload_prices(billing.now)
    stripe = VirtualStripe()
    sell(stripe, "ada", "pack_roast_500")
    billing.process(stripe.events, at=START)
    (row,) = billing.rows(PACKS)
    assert (row["kind"], row["remaining"], row["expires_at"]) == ("roast", 500, START + timedelta(days=30))


def test_a_pack_that_was_just_added_is_granted_from_an_invoice_that_comes_at_once(billing: Billing) -> None:
    stripe = VirtualStripe(now=billing.now)
    stripe.checkout("ada", "pro_monthly")
    invoices_of(stripe)[0]["lines"]["data"].append(one_off_line(stripe, 1, "pack_roast_500"))
    apply(billing, PACK)
    billing.deliver(*stripe.events)
    schedule.work(Worker("worker", lambda: billing.now), billing.now)
    assert [(row["kind"], row["amount"]) for row in billing.rows(PACKS)] == [("roast", 500)]


def test_a_price_counts_from_its_start_on(billing: Billing) -> None:
    starts = START + timedelta(days=3)
    apply(billing, f"prices: [{{price: pro_quarterly, plan: pro, starts: {starts:%Y-%m-%dT%H:%M:%SZ}}}]")
    stripe = VirtualStripe()
    stripe.checkout("ada", "pro_quarterly")
    schedule.reload_prices(START)
    billing.process(stripe.events, at=START)
    assert "parked" in billing.states().values()
    schedule.reload_prices(starts - timedelta(seconds=1))
    billing.work(at=starts - timedelta(seconds=1))
    assert "parked" in billing.states().values()
    schedule.reload_prices(starts)
    billing.work(at=starts)
    assert billing.user("ada")[0] == "pro"


def test_a_process_that_has_just_begun_knows_the_prices(billing: Billing, settings: Settings) -> None:
    """A command runs without any schedule, and judges what was bought with them."""
    apply(billing, QUARTERLY)
    apply(billing, PACK)
    with create_app(settings).app_context():
        known = [is_mapped(price, catalogue()) for price in ("pro_quarterly", "pack_roast_500")]
        db.engine.dispose()
    assert known == [True, True]


def test_applying_again_changes_nothing_and_the_export_says_the_same(billing: Billing) -> None:
    assert len(apply(billing, QUARTERLY).added) == 1
    apply(billing, PACK)
    with read_only() as session:
        text = price_administration.exported(session)
    again = apply(billing, text)
    assert (again.added, again.missing) == ((), ())
    assert apply(billing, PACK).missing == ("pro_quarterly",)
    with read_only() as session:
        assert price_administration.exported(session) == text
        entries = [each.subject for each in audit.every(session) if each.action == "billing.price"]
    assert entries == ["stripe:pro_quarterly", "stripe:pack_roast_500"]


def test_a_price_that_somebody_else_adds_meanwhile_is_refused_in_words(
    billing: Billing, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(billing, QUARTERLY)
    monkeypatch.setattr(price_administration, "known", lambda _: [])
    with pytest.raises(Problem) as refusal:
        apply(billing, QUARTERLY.replace("plan: pro", "plan: plus"))
    assert (refusal.value.status, refusal.value.code) == (409, "PRICE_ADDED")


WRONG = {
    "prices: [{price: a, plan: galaxy}]": "no plan 'galaxy'",
    "prices: [{price: a, pack: {kind: gold, amount: 1}}]": "no kind 'gold'",
    "prices: [{price: a, pack: {kind: roast, amount: 0}}]": "at least one credit",
    "prices: [{price: a, pack: {kind: roast, amount: 99999999999999999999}}]": "and at most",
    "prices: [{price: a, pack: {kind: roast, amount: true}}]": "prices.0.pack.amount: Input should be a valid integer",
    "prices: [{price: a, pack: {kind: roast, amount: '5'}}]": "prices.0.pack.amount: Input should be a valid integer",
    "prices: [{price: a, pack: {kind: roast, amount: 1, days: 0}}]": "valid for 1 to",
    "prices: [{price: a}]": "a plan or a pack",
    "prices: [{price: a, plan: pro, pack: {kind: roast, amount: 1}}]": "a plan or a pack",
    "prices: [{price: a, plan: pro}, {price: a, plan: pro}]": "twice",
    "prices: [{price: ' a', plan: pro}]": "blank",
    "prices: [{price: pro_monthly, plan: starter}]": "built in",
    "prices: [{price: pack_roast_100, plan: starter}]": "built in",
    "prices: [{price: pro_quarterly, plan: plus}]": "something else already",
    "prices: [{price: pro_quarterly, plan: plus": "not valid YAML",
    "prices: 7": "prices: Input should be a valid list",
    "prices: [{price: a, plan: pro, colour: red}]": "colour",
    "prices: [{price: a, plan: pro, starts: soon}]": "starts",
    "prices: [&a {price: a, plan: *a}]": "instead of an alias",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_is_wrong_is_named_and_nothing_is_added(billing: Billing, text: str) -> None:
    apply(billing, QUARTERLY)
    with pytest.raises(Problem) as refusal:
        apply(billing, text)
    assert refusal.value.status == 422
    assert WRONG[text] in refusal.value.detail
    with read_only() as session:
        assert len(price_administration.known(session)) == 1


def test_a_file_is_compared_with_what_stripe_sells_and_applied(billing: Billing, run: Run) -> None:
    with fake_api.serving(VirtualStripe()) as api:
        STRIPE_GATEWAY.set(billing.app, connect(KEY, base_url=api.url))
        assert "pro_quarterly is not on sale at Stripe." in run("diff", QUARTERLY).output
        api.prices = ("pro_quarterly",)
        assert "not on sale" not in run("diff", QUARTERLY).output
        api.statuses = [401]
        assert run("diff", QUARTERLY).exit_code == 1
    assert run("export").output == "prices: []\n"
    done = run("apply", QUARTERLY, "--reason", "A new offer.", "--json")
    assert [each["price"] for each in json.loads(done.output)["added"]] == ["pro_quarterly"]
    assert "price: pro_quarterly" in run("export").output
    assert "goes on" in run("apply", PACK, "--reason", "Another.").output
    refused = run("apply", "prices: [{price: a, plan: galaxy}]", "--reason", "A typo.")
    assert (refused.exit_code, "no plan 'galaxy'" in refused.output) == (1, True)


def test_owners_add_prices_over_http_and_everybody_who_signed_in_reads_them(billing: Billing) -> None:
    people.invite(billing.app, billing.now)
    cast: dict[str, FlaskClient] = {name: people.signed_in(billing.app, name) for name in people.CAST}
    assert billing.app.test_client().get("/api/billing/prices").status_code == 401
    body = {"prices": QUARTERLY, "reason": "A new offer."}
    preview = cast["victor"].post("/api/billing/prices/preview", json=body)
    assert preview.json is not None
    assert [each["price"] for each in preview.get_json()["added"]] == ["pro_quarterly"]
    for name, status in (("victor", 403), ("olga", 403), ("alice", 200)):
        assert cast[name].post("/api/billing/prices", json=body).status_code == status, name
    document = cast["victor"].get("/api/billing/prices").json
    assert document is not None
    assert "pro_quarterly" in document["prices"]
    wrong = cast["alice"].post("/api/billing/prices", json={**body, "prices": "prices: [{price: a}]"})
    assert (wrong.status_code, wrong.json and wrong.get_json()["code"]) == (422, "INVALID_PRICES")
