"""Workers are killed while periods end that leave credits: each account's roll over once, and nothing is lost."""

import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from control_plane.platform.db.database import read_only, transaction
from credits_engine.billing.store import accounts
from credits_engine.engines.periods import months_after
from credits_engine.store.tables import PACKS
from tests.credits_engine.rolling import rolling
from tests.faults.test_credits_killed import CLIENTS, CreditClients, assert_nothing_lost, kill_worker
from tests.installation import Installation
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

PERIOD_SECONDS = 8
KILLS = 3
USERS = [f"u{number}" for number in range(CLIENTS)]


def enter_users(boundary: datetime) -> None:
    """Enter the clients' users, in the last seconds of a period."""
    now, anchor = datetime.now(UTC), months_after(boundary, -12)
    for user_id in USERS:
        with transaction() as session:
            accounts.lock_account(session, user_id, now=now, default_plan="plus")
            accounts.update_directory(session, user_id, plan="plus", anchor=anchor, now=now)


def wait_for_everybody(clients: CreditClients, boundary: datetime) -> None:
    """Let each client have an answer before its period ends."""
    while {key.partition("-")[0] for key in clients.answered} != {*USERS}:
        assert datetime.now(UTC) < boundary, "the machine is too slow to answer before the period ends"
        time.sleep(0.01)
    time.sleep(max(0.0, (boundary - datetime.now(UTC)).total_seconds()))


def kill_after_each_answer(clients: CreditClients, served: Served) -> None:
    """Kill when some have rolled over by then, and some have not."""
    for _ in range(KILLS):
        kill_worker(served)
        known = len(clients.answered)
        while len(clients.answered) == known:
            time.sleep(0.001)


def test_workers_killed_at_the_boundary_roll_each_account_over_once(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    token = Installation(app).token("service")
    with app.app_context(), rolling("plus", datetime.now(UTC)):
        with serving(tmp_path, DATABASE_URL=database_url) as served:
            boundary = datetime.now(UTC) + timedelta(seconds=PERIOD_SECONDS)
            enter_users(boundary)
            clients = CreditClients(served.url, token)
            with clients:
                wait_for_everybody(clients, boundary)
                kill_after_each_answer(clients, served)
                clients.wait_for_more()
        assert_nothing_lost(app, clients)
        with read_only() as session:
            rolled = session.execute(select(PACKS.c.user_id, PACKS.c.kind, PACKS.c.amount)).all()
    wanted = [(user_id, kind, amount) for user_id in USERS for kind, amount in (("analysis", 60), ("roast", 2_500))]
    assert Counter(map(tuple, rolled)) == Counter(wanted)
