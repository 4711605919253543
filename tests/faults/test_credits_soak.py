"""Hours in short: clients consume and reserve while dice kill workers and PostgreSQL and flip the flag.

`SOAK_ROUNDS` says how many rounds of it; a failure prints the dice's seed, which can be given as `SOAK_SEED`.
"""

import os
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from control_plane.core.default_plan import default_plan
from control_plane.platform.db.database import read_only
from control_plane.platform.settings import Settings
from credits_engine.reconciliation.journal import reconcile
from tests.applications import application
from tests.faults.test_credits_killed import (
    AGAIN_SECONDS,
    WORKER_LIVES_SECONDS,
    CreditClients,
    assert_nothing_lost,
    crash_settings,
    kill_worker,
    prepared,
)
from tests.installation import CUTOVER, Installation
from tests.serving import Served, serving

__all__ = ["crash_settings"]

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "200"))
WAYS = (("consume",), ("reserve", "commit"))
LAST_PHASE = len(default_plan(CUTOVER).phases) - 1


def patiently(action: Callable[[], object]) -> None:
    """Try until it succeeds: the database may be away, and the guard may have changed the rollout meanwhile."""
    while True:
        with suppress(DBAPIError, AssertionError):
            action()
            return
        time.sleep(AGAIN_SECONDS)


def audit(installation: Installation) -> None:
    """Hold the books against the journal while everything goes on."""
    found = None
    while found is None:
        with suppress(DBAPIError), installation.app.app_context(), read_only() as session:
            found = reconcile(session)
    assert found.clean, found.differences[:3]


def strikes(installation: Installation, served: Served, strike: Callable[[], None]) -> list[Callable[[], object]]:
    def end_worker() -> None:
        time.sleep(WORKER_LIVES_SECONDS)
        kill_worker(served)

    return [
        end_worker,
        strike,
        installation.roll_back,
        lambda: installation.move(LAST_PHASE),
        lambda: installation.move(LAST_PHASE, 3),
    ]


@pytest.mark.long
def test_rounds_of_everything_at_once_lose_nothing_and_double_nothing(
    crash_settings: tuple[Settings, Callable[[], None]], tmp_path: Path
) -> None:
    settings, strike = crash_settings
    seed = int(os.environ.get("SOAK_SEED", random.randrange(10**6)))
    dice = random.Random(seed)
    with application(settings) as app, serving(tmp_path, DATABASE_URL=settings.database_url) as served:
        installation, clients = Installation(app), CreditClients(served.url, prepared(app), WAYS)
        installation.plan()
        installation.watch()
        everything = strikes(installation, served, strike)
        print(f"SOAK_SEED={seed}")  # noqa: T201 - shown where it fails
        with clients:
            # Each of them at least once, then as the dice fall.
            for action in [*everything, *(dice.choice(everything) for _ in range(ROUNDS - len(everything)))]:
                clients.wait_for_more()
                patiently(action)
                audit(installation)
            clients.wait_for_more()
        assert_nothing_lost(app, clients)
