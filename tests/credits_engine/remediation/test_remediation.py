"""After a rollback: who was charged what by mistake, and corrections that are posted once."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from werkzeug.test import TestResponse

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.cli import register
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.operations.consumption import Engines
from credits_engine.remediation import approval, preparation, store
from credits_engine.remediation.impact import ItemState, ReportState
from credits_engine.remediation.store import Item, Report
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.examples import NOW


def doubling(book: Book, request: Request) -> Decision:
    """v2 with a defect: it charges twice what was asked for."""
    decision = v2.decide(book, request)
    if decision.outcome is not Outcome.ALLOWED:
        return decision
    return replace(decision, charged=decision.charged + decision.charged)


def failing(book: Book, request: Request) -> Decision:
    raise RuntimeError("v2 is broken")


def rolled_back(consumer: Consumer) -> None:
    """Roll back, and let what was in flight end."""
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(NOW), ChangeContext(NOW, "test", "test"))
        rollouts.roll_back(session, FLAG, ChangeContext(consumer.now, "guard", "credit_variance: too much"))
    consumer.now += timedelta(seconds=11)


def reported(consumer: Consumer) -> tuple[Report, dict[str, Item]]:
    report = preparation.prepare(consumer.now)
    assert report is not None
    with read_only() as session:
        stored = approval.find_report(session, FLAG, 1)
        return stored, {item.cost.user_id: item for item in store.items(session, stored.id)}


def break_v2(consumer: Consumer) -> None:
    """v2 charged ada and bob double, cleo rightly; dora it failed. Then it was rolled back."""
    consumer.v2 = True
    consumer.take(consumer.user("cleo"), "k1", analysis=4)
    consumer.now += timedelta(seconds=1)
    consumer.engines = Engines(v2=doubling)
    consumer.take(consumer.user("ada"), "k1", analysis=5)
    consumer.take("ada", "k2", roast=2)
    consumer.take(consumer.user("bob"), "k1", analysis=1)
    consumer.engines = Engines(v2=failing)
    consumer.take(consumer.user("dora"), "k1", analysis=3)
    consumer.engines = Engines()
    rolled_back(consumer)
    consumer.v2 = False


@pytest.fixture
def broken(consumer: Consumer) -> Consumer:
    break_v2(consumer)
    return consumer


@pytest.fixture
def lately(consumer: Consumer) -> Consumer:
    """Break v2 by the clock that requests and commands go by."""
    consumer.now = datetime.now(UTC) - timedelta(seconds=20)
    break_v2(consumer)
    return consumer


def used(consumer: Consumer, user: str) -> dict[EngineName, Amounts]:
    both = consumer.books(user)
    return {name: both.of(name).used for name in EngineName}


def test_the_report_says_what_v2_served_since_the_first_difference_and_what_it_cost_whom(broken: Consumer) -> None:
    report, items = reported(broken)
    assert report.cause == "credit_variance: too much"
    assert report.since == NOW + timedelta(seconds=1)
    assert (report.total.users, report.total.operations) == (3, 4)
    assert report.total.v2 == Amounts(12, 4)
    assert sorted(items) == ["ada", "bob", "dora"]
    ada = items["ada"].cost
    assert (ada.operations, ada.v2, ada.legacy, ada.owed) == (2, Amounts(10, 4), Amounts(5, 2), Amounts(5, 2))
    assert (items["dora"].cost.failed, items["dora"].state) == (1, ItemState.NONE)
    assert report.state is ReportState.PREPARED
    assert (report.books_checked > 0, report.books_differing) == (True, 0)


def test_nothing_is_given_back_before_somebody_approves(broken: Consumer) -> None:
    reported(broken)
    assert approval.post_approved(broken.now) == 0
    assert used(broken, "ada")[EngineName.LEGACY] == Amounts(10, 4)


def approve(consumer: Consumer, reason: str = "As reported.") -> Report:
    with transaction() as session:
        return approval.approve(session, FLAG, 1, now=consumer.now, actor="olga", reason=reason)


def test_approving_gives_back_in_both_books_and_journals_each_as_a_correction(broken: Consumer) -> None:
    report, _ = reported(broken)
    approve(broken)
    assert approval.post_approved(broken.now) == 2
    assert used(broken, "ada") == {EngineName.LEGACY: Amounts(5, 2), EngineName.V2: Amounts(5, 2)}
    row = broken.journal("ada")[-1]
    assert (row["type"], row["actor"]) == ("adjust", "olga")
    assert row["reason"] == f"Rollback of {FLAG}, attempt 1: As reported."
    with read_only() as session:
        settled = approval.find_report(session, FLAG, 1)
        assert (settled.state, settled.decided_by) == (ReportState.SETTLED, "olga")
        assert store.count_by_state(session, report.id)[ItemState.POSTED] == (2, Amounts(6, 2))
        actions = [entry.action for entry in audit.latest(session, subject=f"rollout:{FLAG}")]
        assert audit.verify(session).intact
    assert actions[:3] == ["credits.approve_corrections", "credits.report_rollback", "rollout.roll_back"]


def test_approving_and_posting_again_changes_nothing(broken: Consumer) -> None:
    reported(broken)
    for _ in range(3):
        approve(broken)
        approval.post_approved(broken.now)
    assert used(broken, "ada")[EngineName.LEGACY] == Amounts(5, 2)
    with read_only() as session:
        entries = audit.latest(session, subject=f"rollout:{FLAG}")
    assert [entry.action for entry in entries].count("credits.approve_corrections") == 1


def test_what_was_interrupted_goes_on_where_it_stopped(broken: Consumer) -> None:
    reported(broken)
    approve(broken)
    assert approval.post_approved(broken.now, at_most=1) == 1
    with read_only() as session:
        assert approval.find_report(session, FLAG, 1).state is ReportState.APPROVED
    assert approval.post_approved(broken.now) == 1
    with read_only() as session:
        assert approval.find_report(session, FLAG, 1).state is ReportState.SETTLED
    assert used(broken, "bob")[EngineName.V2] == Amounts(1)


def test_what_a_book_can_not_follow_is_noted_for_a_person(broken: Consumer) -> None:
    report, _ = reported(broken)
    broken.now = datetime(2027, 4, 2, tzinfo=NOW.tzinfo)
    approve(broken)
    approval.post_approved(broken.now)
    with read_only() as session:
        refused = store.items(session, report.id)[0]
    assert refused.state is ItemState.REFUSED
    assert "can't be given back: 0 are used in this period" in refused.note


def test_each_rollback_is_reported_once_and_only_when_its_operations_have_ended(broken: Consumer) -> None:
    broken.now -= timedelta(seconds=2)
    assert preparation.prepare(broken.now) is None
    broken.now += timedelta(seconds=2)
    assert preparation.prepare(broken.now) is not None
    assert preparation.prepare(broken.now) is None


def test_a_rollback_that_harmed_nobody_leaves_nothing_to_approve(consumer: Consumer) -> None:
    consumer.v2 = True
    consumer.take(consumer.user("cleo"), "k1", analysis=4)
    rolled_back(consumer)
    report, items = reported(consumer)
    assert (report.state, items) == (ReportState.SETTLED, {})
    assert report.total.operations == 1
    assert approve(consumer).decided_by is None


def test_a_rollout_that_goes_on_is_not_reported_on(consumer: Consumer) -> None:
    assert preparation.prepare(consumer.now) is None


def test_an_approval_needs_a_reason(broken: Consumer) -> None:
    reported(broken)
    with pytest.raises(approval.ApprovalRefused, match="a reason is required"):
        approve(broken, " ")


def test_what_the_declared_policies_explain_is_shown_and_not_corrected(consumer: Consumer) -> None:
    consumer.v2 = True
    user = consumer.user("fred")
    consumer.take(user, "k1", roast=40)
    rolled_back(consumer)
    _, items = reported(consumer)
    assert (items["fred"].cost.refused, items["fred"].cost.legacy) == (1, Amounts(roast=40))
    assert items["fred"].state is ItemState.NONE


ROLLBACKS = "/api/admin/credits/rollbacks"


def test_the_report_is_read_listed_and_approved_over_http(lately: Consumer, make_token: Callable[..., str]) -> None:
    reported(lately)
    client = lately.app.test_client()
    headers = {"Authorization": f"Bearer {make_token('admin')}"}

    def get(path: str = "") -> TestResponse:
        return client.get(f"{ROLLBACKS}{path}", headers=headers)

    [listed] = get().get_json()["reports"]
    assert listed["accounts"]["proposed"] == {"accounts": 2, "owed": {"analysis": 6, "roast": 2}}
    page = get(f"/{FLAG}/1?limit=1").get_json()
    assert ([item["userId"] for item in page["items"]], page["nextAfter"]) == (["ada"], "ada")
    assert get(f"/{FLAG}/1?format=csv").text.splitlines()[1].startswith("ada,2,0,0,10,4,5,2,5,2,proposed")
    operations = get(f"/{FLAG}/1/operations").get_json()["entries"]
    assert [entry["userId"] for entry in operations] == ["dora", "bob", "ada", "ada"]
    assert get(f"/{FLAG}/7").get_json()["code"] == "UNKNOWN_ROLLBACK_REPORT"
    approve = f"{ROLLBACKS}/{FLAG}/1/approve"
    assert client.post(approve, json={"reason": " "}, headers=headers).status_code == 422
    approved = client.post(approve, json={"reason": "As reported."}, headers=headers).get_json()
    assert (approved["state"], approved["accounts"]["posted"]["accounts"]) == ("settled", 2)
    assert used(lately, "ada")[EngineName.V2] == Amounts(5, 2)


def test_nobody_but_owners_and_admin_tokens_may_look(consumer: Consumer, make_token: Callable[..., str]) -> None:
    client = consumer.app.test_client()
    assert client.get(ROLLBACKS).status_code == 401
    headers = {"Authorization": f"Bearer {make_token('service')}"}
    assert client.post(f"{ROLLBACKS}/{FLAG}/1/approve", json={}, headers=headers).status_code == 403


def test_the_console_lists_shows_and_approves(
    lately: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))

    def terminal(*arguments: str) -> Result:
        rollout = click.Group()
        register(rollout)
        return CliRunner().invoke(rollout, ("credits", "remediation", *arguments))

    lately.now = datetime.now(UTC)
    shown = json.loads(terminal("show", "--json").stdout)
    assert [item["userId"] for item in shown["items"]] == ["ada", "bob", "dora"]
    assert "v2 served 4 operations of 3 users" in terminal("list").output
    approved = terminal("approve", "--reason", "As reported.")
    assert (approved.exit_code, "corrections posted: 2 accounts" in approved.output) == (0, True)
    assert terminal("show", "--attempt", "9").exit_code == 1
