"""What the product executes for an account, recorded on PostgreSQL and judged: what crosses today is listed, no more.

Functions of the database are called with the account; what they execute inside is not seen from here.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event

from control_plane.change_context import ChangeContext
from control_plane.platform.db import fastpath
from control_plane.platform.db.database import db, transaction
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.distribution.statements import Reach, judge
from credits_engine.distribution.tables import DISTRIBUTED
from credits_engine.operations import reservations
from flags.store import UserAttributes, upsert_users
from tests.credit_kinds import ROAST
from tests.credits_engine import organisation
from tests.installation import Installation

USER = "ada"
ANY = "may be any account's"
CROSSING: dict[tuple[str, str], str] = {}
"""What crosses today, and why."""
EACH_SHARD = {
    ("SELECT", f"directory_user.user_id {ANY}"): "the beta list, which every process reads as a whole",
    ("SELECT", f"flag_override.user_id {ANY}"): "the overrides, which every process keeps in memory",
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, user_jwt_secret="a secret that the product and the tests share")


@pytest.mark.database("postgresql")
def test_what_is_executed_for_an_account_stays_with_it(app: Flask) -> None:
    installation, now = Installation(app), datetime.now(UTC)
    installation.plan()
    installation.move(3)
    installation.users(UserAttributes(USER, "pro", now))
    token = installation.token("service")
    with app.app_context(), recorded(app) as statements:
        live(app.test_client(), token, now)
    found = by_reach(statements)
    assert len(found[Reach.ONE_ACCOUNT]) > 5
    assert found[Reach.CROSSES] == CROSSING.keys()
    assert found[Reach.EACH_SHARD] == EACH_SHARD.keys()


@pytest.mark.database("postgresql")
def test_what_members_do_and_what_ends_a_pack_stays_with_the_account(app: Flask) -> None:
    now = organisation.LATER
    with app.app_context():
        with transaction() as session:
            upsert_users(session, [UserAttributes(each, "custom", now) for each in ("acme", "eve")], now=now)
        with recorded(app) as statements:
            organisation.join("eve", analysis=9)
            organisation.take("eve", "k1", analysis=2)
            organisation.hold("eve", "r1", analysis=2)
            with transaction() as session:
                reservations.release(session, "eve", "r1", now=now, actor="test", reason="For a test.")
                bought = Purchase("acme", ROAST, 9, now + timedelta(days=1))
                pack = top_ups.top_up(session, bought, organisation.WHY, key="bought").pack
                top_ups.expire(session, "acme", pack.id, now=now + timedelta(days=2))
                top_ups.revoke(session, pack.id, ChangeContext(now, "test", "Refunded."))
    found = by_reach(statements)
    assert found[Reach.CROSSES] == set()
    assert found[Reach.EACH_SHARD] <= EACH_SHARD.keys() | {("SELECT", f"credit_pack.user_id {ANY}")}


def by_reach(statements: Iterable[str]) -> dict[Reach, set[tuple[str, str]]]:
    """Sort what was executed by how far it reaches: the first word of each, and what shows it."""
    found: dict[Reach, set[tuple[str, str]]] = {reach: set() for reach in Reach}
    for statement in statements:
        judgement = judge(statement, DISTRIBUTED)
        found[judgement.reach].add((statement.split()[0], judgement.reason))
    return found


def live(client: FlaskClient, token: str, now: datetime) -> None:
    """Do once whatever is done for an account by operations and by people."""
    change = ChangeContext(now, "test", "For a test.")

    def ask(way: str, key: str, **body: object) -> None:
        headers = {"Authorization": token, "Idempotency-Key": key}
        answer = client.post(f"/api/credits/{way}", json={"userId": USER, **body}, headers=headers)
        assert answer.status_code == 200, answer.text

    for _ in ("taken", "repeated"):
        ask("consume", "k1", creditType="analysis", amount=1)
    for key, end in (("r1", "commit"), ("r2", "release")):
        ask("reserve", key, creditType="analysis", amount=2)
        ask(end, key)
    with transaction() as session:
        top_ups.top_up(session, Purchase(USER, ROAST, 9, now + timedelta(days=30)), change, key="bought")
    ask("consume", "k2", creditType="roast", amount=3)
    signed = jwt.encode({"sub": USER, "exp": 2**40}, "a secret that the product and the tests share")
    for path in ("status", "history"):
        answer = client.get(f"/api/user/credits/{path}", headers={"Authorization": f"Bearer {signed}"})
        assert answer.status_code == 200, answer.text
    with transaction() as session:
        corrections.freeze(session, USER, change)


@contextmanager
def recorded(app: Flask) -> Iterator[set[str]]:
    """Yield every statement that is executed within the block, by SQLAlchemy or by the driver alone."""
    seen, hooks = set[str](), fastpath.HOOKS.get(app)

    def see(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.add(statement)

    event.listen(db.engine, "before_cursor_execute", see)
    fastpath.HOOKS.set(app, replace(hooks, on_success=lambda _seconds, statement: seen.add(statement)))
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", see)
        fastpath.HOOKS.set(app, hooks)
