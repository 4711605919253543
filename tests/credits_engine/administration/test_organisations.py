"""A pool that members share: one account's books and locks, a limit for each, seats, and whose is what."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import cli_support
from credits_engine.administration import catalogue_document, organisations, plan_catalogue
from credits_engine.administration.organisations import LEAD
from credits_engine.amount_types import summed
from credits_engine.cli import register
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.plans import CATALOGUE
from credits_engine.migration.aa_test import run_aa_test
from credits_engine.operations import reservations
from credits_engine.store import members
from credits_engine.store.tables import JOURNAL
from flags.store import UserAttributes
from tests.credits_engine.organisation import LATER, NOW, WHY, differences, hold, join, take, used
from tests.installation import Installation

pytestmark = pytest.mark.usefixtures("acme")
SEATS = """
plans:
  - plan: crew
    above: pro
    per_seat: true
    limits: {analysis: {v2: 10, legacy: 10}, roast: {v2: 2, legacy: 2}}
"""


def test_members_share_one_pool_and_their_keys_are_told_apart() -> None:
    join("ada")
    join("bob")
    first, second = take("ada", "k", analysis=60), take("bob", "k", analysis=40)
    assert (first.user_id, second.user_id) == ("acme", "acme")
    assert (first.outcome, second.outcome, second.replayed) == (Outcome.ALLOWED, Outcome.ALLOWED, False)
    assert take("ada", "k", analysis=60).replayed
    refused = take("bob", "k2", analysis=1)
    assert (refused.outcome, refused.comparison.variance) == (Outcome.DENIED_LIMIT, "match")
    assert take("eve", "k", analysis=100).user_id == "eve"
    assert (used("ada"), used("bob")) == (Amounts(analysis=60), Amounts(analysis=40))
    assert differences() == 0


def test_a_membership_counts_from_its_start_and_to_its_end() -> None:
    join("ada")
    assert take("ada", "k1", NOW, analysis=1).user_id == "ada"
    assert take("ada", "k2", analysis=1).user_id == "acme"
    with transaction() as session:
        organisations.remove(session, "ada", ChangeContext(LATER, "alice", "Left."))
    organisations.reload(LATER)
    assert take("ada", "k3", analysis=1).user_id == "acme"
    assert take("ada", "k4", LATER + LEAD, analysis=1).user_id == "ada"


def test_a_members_limit_is_refused_by_both_engines_and_told(client: FlaskClient, service_token: str) -> None:
    join("ada", analysis=10)
    assert take("ada", "k1", analysis=7, roast=3).outcome is Outcome.ALLOWED
    refused = take("ada", "k2", analysis=4)
    assert (refused.outcome, refused.comparison.variance) == (Outcome.DENIED_STATE, "match")
    assert refused.reason == "A member's limit: 7 of 10 analysis are used in this period, and 4 more are asked."
    assert take("ada", "k3", analysis=3).outcome is Outcome.ALLOWED
    with read_only() as session:
        assert run_aa_test(session, most=10).passed
    assert differences() == 0


def test_what_a_reservation_gives_back_is_the_members_again() -> None:
    join("ada", analysis=10)
    assert hold("ada", "k1", analysis=10).outcome is Outcome.ALLOWED
    assert take("ada", "k2", analysis=1).outcome is Outcome.DENIED_STATE
    with transaction() as session:
        reservations.commit(session, "ada", "k1", now=LATER, actor="test", amounts=Amounts(analysis=4))
    assert used("ada") == Amounts(analysis=4)
    assert hold("ada", "k3", analysis=6).outcome is Outcome.ALLOWED
    with transaction() as session:
        organisations.remove(session, "ada", ChangeContext(LATER - LEAD, "alice", "Left."))
    organisations.reload(LATER)
    with transaction() as session:
        reservations.release(session, "ada", "k3", now=LATER, actor="test", reason="After leaving.")
    assert used("ada") == Amounts(analysis=4)
    assert differences() == 0


def test_operations_at_one_moment_do_not_pass_a_members_limit_together(app: Flask) -> None:
    join("ada", analysis=5)

    def one(number: int) -> Outcome:
        with app.app_context():
            return take("ada", f"k{number}", analysis=1).outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(one, range(20)))
    assert outcomes.count(Outcome.ALLOWED) == 5
    assert used("ada") == Amounts(analysis=5)
    assert differences() == 0


def test_random_operations_of_members_add_up(app: Flask) -> None:
    for user, limit in (("ada", 30), ("bob", 50)):
        join(user, analysis=limit)
    choose = random.Random(4)
    for number in range(60):
        user, amount = choose.choice(["ada", "bob", "acme"]), choose.randrange(1, 9)
        if choose.random() < 0.5:
            take(user, f"k{number}", analysis=amount)
        elif hold(user, f"k{number}", analysis=amount).granted:
            kept = Amounts(analysis=choose.randrange(amount + 1))
            with transaction() as session:
                reservations.commit(session, user, f"k{number}", now=LATER, actor="test", amounts=kept)
    with read_only() as session:
        entries, of_journal = members.ENTRIES, JOURNAL.c.user_id == "acme"
        prefixed = func.length(JOURNAL.c.operation_key) > 20
        moved = session.scalar(select(summed(entries.c.amounts)))
        charged = session.scalar(select(summed(JOURNAL.c.charged)).where(of_journal, prefixed))
    assert moved == charged
    assert used("ada") + used("bob") == moved
    assert used("ada")["analysis"] <= 30
    assert used("bob")["analysis"] <= 50
    assert differences() == 0


def by_the_seat(app: Flask, number: int) -> None:
    with transaction() as session:
        plan_catalogue.apply(session, catalogue_document.parsed(SEATS), WHY)
    plan_catalogue.reload(datetime.now(UTC))
    Installation(app).users(
        UserAttributes("acme", f"crew:{number}" if number > 1 else "crew", NOW - timedelta(days=90))
    )


@pytest.fixture
def catalogue() -> Iterator[None]:
    """Put the catalogue back, which is the process's."""
    before = dict(vars(CATALOGUE))
    yield
    vars(CATALOGUE).update(before)


@pytest.mark.usefixtures("catalogue")
def test_there_are_as_many_members_as_seats_however_many_ask_at_once(app: Flask) -> None:
    by_the_seat(app, 3)

    def one(number: int) -> str:
        try:
            with app.app_context(), transaction() as session:
                organisations.add(session, f"u{number}", "acme", {}, WHY)
        except Problem as problem:
            return problem.code
        return "added"

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(one, range(6)))
    assert sorted(done) == ["NO_SEAT_LEFT"] * 3 + ["added"] * 3
    organisations.reload(NOW)
    (member,) = [f"u{number}" for number, each in enumerate(done) if each == "added"][:1]
    join(member, analysis=1)  # whoever has a seat keeps it
    assert take(member, "k", analysis=1).served.limits["analysis"] == 30


@pytest.mark.parametrize(
    ("user", "account", "limits", "code"),
    [
        ("ada", "nobody", {}, "UNKNOWN_USER"),
        ("acme", "acme", {}, "OWN_ACCOUNT"),
        ("", "acme", {}, "INVALID_USER_ID"),
        ("eve", "ada", {}, "ACCOUNT_IS_MEMBER"),
        ("acme", "eve", {}, "HAS_MEMBERS"),
        ("ada", "eve", {}, "OTHER_ACCOUNT"),
        ("eve", "acme", {"gold": 1}, "UNKNOWN_CREDIT_TYPE"),
        ("eve", "acme", {"analysis": -1}, "INVALID_LIMIT"),
    ],
)
def test_who_can_not_be_a_member_is_told_why(user: str, account: str, limits: dict[str, int], code: str) -> None:
    join("ada")
    with pytest.raises(Problem) as problem:
        join(user, account, **limits)
    assert problem.value.code == code


def test_over_http_owners_add_members_who_see_the_pool_and_only_themselves(
    sign_in: Callable[[str], FlaskClient], client: FlaskClient, service_token: str
) -> None:
    url, body = "/api/admin/credits/members", {"userId": "ada", "accountId": "acme", "reason": "Hired."}
    assert sign_in("olga").post(url, json=body).status_code == 403
    alice = sign_in("alice")
    assert alice.post(url, json=body | {"limits": {"analysis": "5"}}).status_code == 422
    assert alice.post(url, json=body | {"limits": {"analysis": 9}}).get_json()["limits"] == {"analysis": 9}
    with read_only() as session:
        assert (audit.latest(session)[0].action, audit.latest(session)[0].reason) == ("credits.member", "Hired.")
        member = members.find(session, "ada")
    assert member
    with transaction() as session:
        members.put(session, type(member)("ada", "acme", NOW - LEAD, member.limits), replacing=member, by="test")
    organisations.reload(NOW)
    headers = {"Authorization": f"Bearer {service_token}"}
    for user in ("ada", "acme"):
        consumed = client.post(
            "/api/credits/consume",
            json={"userId": user, "creditType": "analysis", "amount": 4},
            headers=headers | {"Idempotency-Key": "k"},
        )
        assert (consumed.get_json()["userId"], consumed.get_json()["idempotencyKey"]) == ("acme", "k")
    status = client.get("/api/user/credits/status?userId=ada", headers=headers).get_json()["data"]
    assert status["analysis"]["used"] == 8
    history = client.get("/api/user/credits/history?userId=ada", headers=headers).get_json()["data"]
    assert [each["idempotencyKey"] for each in history["entries"]] == ["k"]
    check = client.post(
        "/api/user/credits/check?userId=ada", json={"creditType": "analysis", "amount": 6}, headers=headers
    ).get_json()["data"]
    assert (check["canConsume"], check["reason"][:14]) == (False, "A member's lim")
    (listed,) = alice.get(f"{url}?account=acme").get_json()["members"]
    assert (listed["userId"], listed["used"]["analysis"]) == ("ada", 4)
    assert alice.post(f"{url}/remove", json={"userId": "ada", "reason": "Left."}).get_json()["endsAt"]
    assert alice.post(f"{url}/remove", json={"userId": "ada", "reason": "Left."}).get_json()["code"] == "NO_MEMBER"


def test_by_command(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    rollout = click.Group()
    register(rollout)

    def run(*arguments: str) -> str:
        return CliRunner().invoke(rollout, ["credits", "members", *arguments]).output

    assert "at most 5 analysis" in run("add", "acme", "ada", "--limit", "analysis=5", "--reason", "Hired.")
    assert "KIND=AMOUNT" in run("add", "acme", "ada", "--limit", "analysis", "--reason", "Hired.")
    assert "ada of acme" in run("list", "acme")
    assert "no member of acme any more" in run("remove", "ada", "--reason", "Left.")
    assert "is no member" in run("remove", "ada", "--reason", "Left.")
