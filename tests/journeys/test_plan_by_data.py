"""A new plan, and another limit of one that runs, by data alone: sold, granted, enforced by both engines, audited."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import plan_catalogue
from credits_engine.billing import price_administration, schedule
from credits_engine.engines.amounts import Amounts, Limits
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.engines.receipts import Receipt
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.installation import Installation
from tests.journeys.conftest import Run

NOW = datetime.now(UTC)
COMMAND = ("credits", "catalogue")
DAY = timedelta(days=1)
TEAM = """
plans:
  - plan: team
    above: pro
    limits: {analysis: {v2: 20, legacy: 20}, roast: {v2: 5, legacy: 4}}
"""
LESS = """
plans:
  - plan: free
    limits: {analysis: {v2: 10, legacy: 10}, roast: {v2: 1, legacy: 1}}
"""


@pytest.fixture(autouse=True)
def installed(app: Flask) -> Iterator[None]:
    """Put the catalogue back, which is the process's."""
    before = dict(vars(CATALOGUE))
    installation = Installation(app)
    installation.plan()
    installation.watch()
    with app.app_context():
        yield
    vars(CATALOGUE).update(before)


def take(user: str, key: str, now: datetime, **amounts: int) -> Receipt:
    return run_operation(Operation(user, key, Amounts(**amounts), "test"), now=now)


def enter(app: Flask, user: str, plan: str) -> None:
    with transaction() as session:
        session.execute(
            text(
                "INSERT INTO directory_user (user_id, plan, signed_up_at, beta, updated_at) "
                "VALUES (:user, :plan, '2026-01-01 00:00:00+00:00', false, '2026-01-01 00:00:00+00:00')"
            ),
            {"user": user, "plan": plan},
        )


def test_a_plan_that_no_release_knew_is_sold_granted_and_enforced(app: Flask, run: Run) -> None:
    with pytest.raises(UnknownPlanError):
        CATALOGUE.plan("team")
    done = run(*COMMAND, "apply", "--reason", "A new offer.", document=TEAM)
    assert done.exit_code == 0, done.output
    now = datetime.now(UTC)
    plan_catalogue.reload(now)
    with transaction() as session:
        price_administration.apply(
            session,
            price_administration.parsed("prices: [{price: team_monthly, plan: team}]"),
            ChangeContext(now, "a", "b"),
        )
    schedule.reload_prices(datetime.now(UTC))
    stripe = VirtualStripe(now=now)
    stripe.checkout("ada", "team_monthly")
    billing = Billing(app, now)
    billing.process(stripe.events, at=now)
    assert billing.user("ada")[0] == "team"
    receipt = take("ada", "k1", now, analysis=20)
    assert receipt.outcome is Outcome.ALLOWED
    assert {receipt.served.limits, receipt.shadow.limits} == {Limits(20, 4), Limits(20, 5)}
    refused = take("ada", "k2", now, analysis=1)
    assert (refused.outcome, refused.comparison.variance) == (Outcome.DENIED_LIMIT, "match")
    assert scheduled.check_books(now, "demand").found == 0
    with read_only() as session:
        (entry,) = (each for each in audit.latest(session) if each.action == "credits.plan")
    assert (entry.subject, entry.reason) == ("plan:team", "A new offer.")
    assert run(*COMMAND, "apply", "--reason", "Again.", document=TEAM).output.startswith("0 new.")
    assert "plan: team" in run(*COMMAND, "export").output


def test_running_periods_keep_their_limit_and_the_next_ones_have_the_new(app: Flask, run: Run) -> None:
    enter(app, "bob", "free")
    assert take("bob", "k1", NOW, analysis=50).outcome is Outcome.ALLOWED
    assert run(*COMMAND, "apply", "--reason", "Less for nothing.", document=LESS).exit_code == 0
    now = datetime.now(UTC)
    plan_catalogue.reload(now)
    same = take("bob", "k2", now, analysis=1)
    assert (same.outcome, same.comparison.variance) == (Outcome.ALLOWED, "match")
    assert {same.served.limits, same.shadow.limits} == {Limits(100, 50), Limits(100, 10)}
    later = calendar_month(now).end + DAY
    plan_catalogue.reload(later)
    plan_catalogue.write(later)
    after = take("bob", "k3", later, analysis=11)
    assert after.outcome is Outcome.DENIED_LIMIT
    assert after.served.limits == after.shadow.limits == Limits(10, 1)
    assert scheduled.check_books(later, "demand").found == 0


def test_whom_it_would_have_refused_is_said_before(app: Flask, run: Run, sign_in: Callable[[str], FlaskClient]) -> None:
    for user in ("bob", "eve"):
        enter(app, user, "free")
        take(user, "k1", NOW, analysis=6)
    take("bob", "k2", NOW, analysis=6)
    lines = run(*COMMAND, "diff", document=LESS).output.splitlines()
    assert lines[1].endswith("it would have refused 1 operations of 1 users.")
    assert lines[2] == "    bob"
    url, body = "/api/admin/credits/catalogue", {"plans": LESS, "reason": "Less for nothing."}
    alice = sign_in("alice")
    preview = alice.post(f"{url}/preview", json=body).get_json()
    assert preview["refusals"]["free"] == {"operations": 1, "users": 1, "firstUsers": ["bob"]}
    now_free = preview["users"]["free"]
    assert (now_free["users"], now_free["runningPeriods"]) == (2, 2)
    last_end = datetime.fromisoformat(now_free["lastEnd"])
    assert f"2 periods run with the limits they were opened with, the last one until {last_end:%Y-%m-%d}" in lines[3]
    assert alice.get(url).get_json() == {"plans": "plans: []\n"}
    assert sign_in("olga").post(url, json=body).status_code == 403
    assert len(alice.post(url, json=body).get_json()["added"]) == 1
    assert "plan: free" in alice.get(url).get_json()["plans"]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("plans: [", "This is not valid YAML"),
        ("plans: [{plan: team, limits: {}}]", "say above which plan it stands"),
        ("plans: [{plan: free, limits: {analysis: {v2: 1.5, legacy: 1}}}]", "plans.0.limits.analysis.v2"),
        (LESS.replace("plan: free", "plan: free\n    starts: 2020-01-01"), "it has begun already"),
    ],
)
def test_what_can_not_be_applied_is_refused_and_changes_nothing(run: Run, document: str, words: str) -> None:
    done = run(*COMMAND, "apply", "--reason", "Wrong.", document=document)
    assert done.exit_code == 1
    assert words in done.output
    assert run(*COMMAND, "export").output == "plans: []\n"
