"""A third kind, its pack, a weekly and a quarterly price by data alone: granted, sold, enforced by both engines."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.app import create_app
from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import db, read_only, transaction
from control_plane.platform.settings import SETTINGS
from credits_engine.administration import plan_catalogue
from credits_engine.billing import price_administration, schedule
from credits_engine.engines.amounts import KINDS, Amounts, Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from flags.store import Effect, UserAttributes, put_override
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_sales import sell
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.installation import Installation
from tests.journeys.conftest import Run

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
DOCUMENT = """
kinds:
  - kind: image
    packs: [20]
    limits:
      free: {v2: 2, legacy: 2}
      starter: {v2: 5, legacy: 5}
      pro: {v2: 50, legacy: 50}
      team: {v2: 70, legacy: 70}
      plus: {v2: 500, legacy: 500}
      custom: {v2: null, legacy: null}
plans:
  - plan: team
    above: pro
    grace_days: 2
    limits: {analysis: {v2: 20, legacy: 20}, roast: {v2: 5, legacy: 5}}
"""
APPLY = ("credits", "catalogue", "apply", "--reason", "New.")
PRICES = "prices: [{price: team_weekly, plan: team}, {price: team_quarterly, plan: team}]"


@pytest.fixture(autouse=True)
def installed(app: Flask) -> Iterator[None]:
    """Put the catalogue back, which is the process's."""
    kinds, catalogue = list(KINDS), dict(vars(CATALOGUE))
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "free", NOW - 90 * DAY) for user in ("bob", "eve")))
    with app.app_context(), transaction() as session:
        put_override(session, FLAG, "ada", Effect.ALLOW, ChangeContext(NOW, "test", "v2"))
    installation.publish()
    with app.app_context():
        yield
    KINDS[:] = kinds
    vars(CATALOGUE).update(catalogue)


def apply(run: Run, document: str = DOCUMENT) -> datetime:
    done = run(*APPLY, document=document)
    assert done.exit_code == 0, done.output
    now = datetime.now(UTC)
    plan_catalogue.reload(now)
    return now


def take(user: str, key: str, now: datetime, **amounts: int) -> Receipt:
    return run_operation(Operation(user, key, Amounts(**amounts), "test"), now=now)


def differences(now: datetime) -> int:
    return scheduled.check_books(now, "demand").found


def test_a_kind_that_no_release_knew_is_granted_enforced_and_sold(app: Flask, run: Run) -> None:
    take("bob", "before", NOW, analysis=1)
    now = apply(run)
    assert [*KINDS] == ["analysis", "roast", "image"]
    first = take("bob", "k1", now, analysis=1, image=2)
    assert (first.outcome, first.charged, first.comparison.variance) == (
        Outcome.ALLOWED,
        Amounts(analysis=1, image=2),
        "match",
    )
    assert {first.served.limits, first.shadow.limits} == {Limits(100, 50, 2), Limits(100, 10, 2)}
    assert take("bob", "k2", now, image=1).outcome is Outcome.DENIED_LIMIT
    assert take("bob", "before", now, analysis=1).replayed
    stripe = VirtualStripe(now=now)
    sell(stripe, "bob", "pack_image_20")
    Billing(app, now).process(stripe.events, at=now)
    bought = take("bob", "k3", now, image=3)
    assert (bought.outcome, bought.charged) == (Outcome.ALLOWED, Amounts(image=3))
    assert differences(now) == 0
    with read_only() as session:
        assert run_aa_test(session, most=10).passed
        (entry,) = (each for each in audit.latest(session) if each.action == "credits.kind")
    assert (entry.subject, entry.reason) == ("kind:image", "New.")


def test_what_was_added_is_exported_and_adds_nothing_when_applied_again(run: Run) -> None:
    apply(run)
    exported = run("credits", "catalogue", "export").output
    assert run(*APPLY, document=exported).output.startswith("0 new.")
    assert run(*APPLY, document=DOCUMENT).output.startswith("0 new.")
    changed = DOCUMENT.replace("packs: [20]", "packs: [30]")
    refused = run(*APPLY, document=changed)
    assert (refused.exit_code, "'image' is in the catalogue already" in refused.output) == (1, True)


def test_another_application_of_the_same_process_starts_with_it(app: Flask, run: Run) -> None:
    """A command makes one to read an option by the name of a kind, and then its own."""
    apply(run)
    again = create_app(SETTINGS.get(app))
    with again.app_context():
        assert take("eve", "k1", datetime.now(UTC), image=1).outcome is Outcome.ALLOWED
        db.engine.dispose()


def test_a_kind_that_begins_later_is_nobodys_until_then(run: Run) -> None:
    start = datetime.now(UTC) + DAY
    document = DOCUMENT.replace("packs: [20]", f"starts: {start.isoformat()}")
    apply(run, document)
    assert [*KINDS] == ["analysis", "roast"]
    assert take("eve", "k1", datetime.now(UTC), analysis=1).served.limits in (Limits(100, 50), Limits(100, 10))
    plan_catalogue.write(start)
    plan_catalogue.reload(start)
    assert [*KINDS] == ["analysis", "roast", "image"]
    assert take("eve", "k2", start, image=2).outcome is Outcome.ALLOWED
    assert differences(start) == 0


def test_people_and_commands_know_it(run: Run, sign_in: Callable[[str], FlaskClient]) -> None:
    now = apply(run)
    take("bob", "k1", now, image=2)
    alice = sign_in("alice")
    assert alice.get("/api/credits/config").get_json()["data"]["creditTypes"] == [*KINDS]
    account = alice.get("/api/admin/credits/users/bob").get_json()
    assert account["books"]["v2"]["image"] == {"used": 2, "limit": 2, "bought": 0, "remaining": 0}
    assert run("credits", "adjust", "bob", "--image", "1", "--reason", "A gift.").exit_code == 0
    assert take("bob", "k2", now, image=1).outcome is Outcome.ALLOWED
    preview = alice.post(
        "/api/admin/credits/catalogue/preview",
        json={"plans": DOCUMENT.replace("image", "video"), "reason": "What if."},
    )
    assert [each["kind"] for each in preview.get_json()["kinds"]] == ["video"]


@pytest.mark.parametrize(("price", "days"), [("team_weekly", 7), ("team_quarterly", 92)])
def test_a_weekly_and_a_quarterly_price_grant_a_months_credits_once_a_month(
    app: Flask, run: Run, price: str, days: int
) -> None:
    now = apply(run)
    with transaction() as session:
        price_administration.apply(session, price_administration.parsed(PRICES), ChangeContext(now, "a", "b"))
    schedule.reload_prices(datetime.now(UTC))
    stripe = VirtualStripe(now=now)
    subscription = stripe.checkout("ada", price)
    subscription.end = now + days * DAY
    billing = Billing(app, now)
    billing.process(stripe.events, at=now)
    assert billing.user("ada")[0] == "team"
    for number in range(4):
        moment = now + number * 7 * DAY
        if price == "team_weekly" and number:
            told = len(stripe.events)
            stripe.now = moment
            stripe._change(subscription, start=moment, end=moment + 7 * DAY)
            stripe._bill(subscription, "subscription_cycle")
            billing.process(stripe.events[told:], at=moment)
        assert take("ada", f"k{number}", moment, image=15).outcome is Outcome.ALLOWED
    assert take("ada", "k9", now + 22 * DAY, image=15).outcome is Outcome.DENIED_LIMIT
    assert take("ada", "k10", now + 32 * DAY, image=15).served.used == Amounts()
    assert differences(now + 32 * DAY) == 0


def test_the_days_of_grace_are_the_plans(app: Flask, run: Run) -> None:
    now = apply(run)
    with transaction() as session:
        price_administration.apply(
            session,
            price_administration.parsed("prices: [{price: team_monthly, plan: team}]"),
            ChangeContext(now, "a", "b"),
        )
    schedule.reload_prices(datetime.now(UTC))
    stripe = VirtualStripe(now=now)
    subscription = stripe.checkout("ada", "team_monthly")
    subscription.card_works = False
    stripe.pass_time(subscription.end + timedelta(hours=2))
    failed_at = stripe.now - timedelta(hours=1)
    billing = Billing(app, now)
    billing.process(stripe.events, at=stripe.now)
    assert take("ada", "k1", failed_at + 2 * DAY - timedelta(minutes=1), image=1).outcome is Outcome.ALLOWED
    refused = take("ada", "k2", failed_at + 2 * DAY + timedelta(minutes=1), image=1)
    assert refused.outcome is Outcome.DENIED_STATE
    assert "2 days of grace" in refused.served.reason
    more = DOCUMENT.partition("plans:")[2].replace("roast:", "image: {v2: 70, legacy: 70}, roast:")
    start = (failed_at + timedelta(hours=1)).isoformat()
    apply(run, "plans:" + more.replace("grace_days: 2", f"grace_days: 30\n    starts: {start}"))
    plan_catalogue.reload(failed_at + 3 * DAY)
    assert CATALOGUE.plan("team").grace_at(failed_at + 3 * DAY) == 30 * DAY
    again = take("ada", "k3", failed_at + 3 * DAY, image=1)
    assert "2 days of grace" in again.served.reason, "the payment failed before the other grace began"
