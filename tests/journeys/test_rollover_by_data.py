"""A rule of what rolls over, made by data alone: previewed, added with a reason, in force, shown, and ended again."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import plan_catalogue
from credits_engine.billing.entitlements.period_sweep import PeriodSweep
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.periods import billing_period
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import Receipt
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from flags.store import Effect, UserAttributes, put_override
from tests.credits_engine.rolling import rolling
from tests.dashboards.browsing import page_text
from tests.installation import Installation
from tests.journeys.conftest import Run

DAY = timedelta(days=1)
LIMITS = "{analysis: {v2: 100, legacy: 100}, roast: {v2: 10, legacy: 50}}"
RULE = "{analysis: {max: 60}, roast: {max_percent: 50, periods: 2}}"
DOCUMENT = f"plans: [{{plan: free, title: Free, limits: {LIMITS}, rollovers: {RULE}}}]"
ENDED = f"plans: [{{plan: free, title: Free, limits: {LIMITS}, rollovers: {{}}}}]"
HEADERS = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}


@pytest.fixture(autouse=True)
def installed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Bob is served by v2 and eve by legacy; the catalogue, which is the process's, is put back."""
    catalogue = dict(vars(CATALOGUE))
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(*(UserAttributes(user, "free", datetime.now(UTC) - 90 * DAY) for user in ("bob", "eve")))
    with app.app_context(), transaction() as session:
        put_override(session, FLAG, "bob", Effect.ALLOW, ChangeContext(datetime.now(UTC), "test", "v2"))
    installation.publish()
    with app.app_context():
        yield
    vars(CATALOGUE).update(catalogue)


def apply(run: Run, document: str = DOCUMENT) -> datetime:
    done = run("credits", "catalogue", "apply", "--reason", "Fairer.", document=document)
    assert done.exit_code == 0, done.output
    now = datetime.now(UTC)
    plan_catalogue.reload(now)
    return now


def take(user: str, key: str, now: datetime, analysis: int = 0, roast: int = 0) -> Receipt:
    return run_operation(Operation(user, key, Amounts(analysis, roast), "test"), now=now)


def turns(now: datetime, months: int) -> list[datetime]:
    """Return the next turns of a month, after the one that runs, which began before the rule did."""
    first = billing_period(datetime(2026, 1, 1, tzinfo=UTC), now).end
    found = [first]
    for _ in range(months - 1):
        found.append(billing_period(datetime(2026, 1, 1, tzinfo=UTC), found[-1]).end)
    return found


def test_a_rule_is_made_enforced_and_ended_by_data(run: Run) -> None:
    take("bob", "k0", datetime.now(UTC), analysis=1)
    now = apply(run)
    first, second, third, fourth = turns(now, 4)
    assert take("bob", "k1", first, analysis=100).served.bought == Amounts(), "this month began without the rule"
    take("eve", "k1", first, analysis=30)
    for user in ("bob", "eve"):
        taken = take(user, "k2", second, analysis=100, roast=11)
        assert (taken.outcome, taken.comparison.variance) == (Outcome.ALLOWED, "match")
    assert take("bob", "k3", second, analysis=1).outcome is Outcome.DENIED_LIMIT
    assert take("eve", "k3", second, analysis=60).spent_from_packs == Amounts(60)
    assert take("eve", "k4", third, roast=55).spent_from_packs == Amounts(0, 5)
    PeriodSweep().tick(fourth)
    assert scheduled.check_books(fourth, "demand").found == 0
    with read_only() as session:
        assert run_aa_test(session, most=20).passed
        (entry,) = (each for each in audit.latest(session) if each.action == "credits.plan")
    assert (entry.subject, entry.reason) == ("plan:free", "Fairer.")
    assert "rollovers" in json.dumps(entry.after)
    ended = apply(run, ENDED)
    assert CATALOGUE.plan("free").rollovers_of(ended) == {}
    assert CATALOGUE.plan("free").rollovers_of(now) != {}, "a period keeps the rule that it began with"


def test_a_preview_says_what_more_would_have_rolled_over_and_changes_nothing(
    run: Run, sign_in: Callable[[str], FlaskClient]
) -> None:
    now = datetime.now(UTC)
    month = billing_period(datetime(2026, 1, 1, tzinfo=UTC), now).start
    for user, analysis in (("bob", 90), ("eve", 20)):
        take(user, "k1", month - DAY, analysis=analysis)
    said = run("credits", "catalogue", "diff", document=DOCUMENT).output
    assert "Of the 2 periods that ended in the last 31 days it would have let 70 analysis and 10 roast more" in said
    alice = sign_in("alice")
    body = {"plans": DOCUMENT, "reason": "What if."}
    found = alice.post("/api/admin/credits/catalogue/preview", json=body).get_json()
    assert found["rollovers"] == {"free": {"periods": 2, "users": 2, "more": {"analysis": 70, "roast": 10}}}
    assert found["added"][0]["rollovers"] == {
        "analysis": {"max": 60, "periods": 1},
        "roast": {"max_percent": 50, "periods": 2},
    }
    form = {"text": DOCUMENT, "do": "preview", "reason": ""}
    page = page_text(alice.post("/catalogue/plans", data=form, headers=HEADERS).text)
    assert "Analysis: up to 60 roll over, for 1 period · Roast: up to 50 % of the limit" in page
    assert "From the 2 periods that ended in the last 31 days" in page
    assert "70 Analysis, 10 Roast, to 2 users" in page
    assert CATALOGUE.rolling_plans == []


def test_what_was_made_is_shown_exported_and_added_once(run: Run, sign_in: Callable[[str], FlaskClient]) -> None:
    apply(run)
    exported = run("credits", "catalogue", "export").output
    assert run("credits", "catalogue", "diff", document=exported).output.startswith("0 new.")
    alice = sign_in("alice")
    page = page_text(alice.get("/catalogue").text)
    assert page.count("Analysis: up to 60 roll over, for 1 period") == 2, "of the plan, and of its version"
    assert "max_percent: 50" in alice.get("/catalogue/plans?plan=free").text
    apply(run, ENDED)
    assert "nothing rolls over" in page_text(alice.get("/catalogue").text)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{analysis: {}}", "either as max or as max_percent"),
        ("{analysis: {max: 1, max_percent: 1}}", "either as max or as max_percent"),
        ("{analysis: {max: -1}}", "greater than or equal to 0"),
        ("{analysis: {max: 1, periods: 0}}", "greater than or equal to 1"),
        ("{analysis: {max: 1.5}}", "valid integer"),
        ("{video: {max: 1}}", "video, which is no kind of credits"),
        ("{analysis: {max: 1, unused: 2}}", "Extra inputs"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_its_place(run: Run, rule: str, said: str) -> None:
    refused = run("credits", "catalogue", "diff", document=DOCUMENT.replace(RULE, rule))
    assert (refused.exit_code, said in refused.output) == (1, True), refused.output


def test_a_rule_that_cannot_be_is_refused_with_its_line(run: Run) -> None:
    written = DOCUMENT.replace(RULE, "\n  {analysis: {max: 1},\n  roast: {max: .nan,\n    periods: 13}}")
    refused = run("credits", "catalogue", "diff", document=written).output
    assert "Line 3, at plans.0.rollovers.roast.max: Input should be a valid integer" in refused
    assert "Line 4, at plans.0.rollovers.roast.periods: Input should be less than or equal to 12" in refused


def test_people_see_what_rolled_over_and_until_when(
    app: Flask, run: Run, settings: Settings, sign_in: Callable[[str], FlaskClient]
) -> None:
    now = datetime.now(UTC)
    running = billing_period(datetime(2026, 1, 1, tzinfo=UTC), now)
    before = running.start - DAY
    with rolling("free", before):
        take("bob", "k1", before, analysis=70)
        take("bob", "k2", now, analysis=105)
        until = running.end.isoformat().replace("+00:00", "Z")
        token = jwt.encode({"sub": "bob", "exp": now + DAY}, settings.user_jwt_secret, "HS256")
        client, headers = app.test_client(), {"Authorization": f"Bearer {token}"}
        status = client.get("/api/user/credits/status", headers=headers).get_json()["data"]
        (analysis, roast) = sorted(status["packs"], key=lambda each: each["creditType"])
        assert (analysis["remaining"], analysis["expiresAt"], roast["remaining"]) == (25, until, 5)
        assert analysis["rolledFrom"].startswith(f"{before:%Y-%m-01}")
        card = client.get("/embed/credits?form=json", headers=headers).get_json()["data"]
        assert {"creditType": "analysis", "remaining": 25, "expiresAt": until} in card["rolledOver"]
        html = page_text(client.get("/embed/credits", headers=headers).text)
        assert f"25 of them left over from before, until {running.end:%d %B %Y, %H:%M} UTC" in html
        assert "from credit packs" not in html
        history = client.get("/api/user/credits/history?creditType=roast", headers=headers).get_json()
        (entry,) = history["data"]["entries"]
        assert (entry["type"], "5 roast were left unused" in entry["reason"]) == ("rollover", True)
        assert "25 of 30 rolled-over analysis left, until" in run("credits", "status", "bob").output
        page = page_text(sign_in("alice").get("/credits?user=bob").text)
        assert "Analysis: 25 of 30 that rolled over from the period of" in page
