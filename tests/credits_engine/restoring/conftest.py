"""An installation whose rollout has reached everybody, and a backup of it."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import transaction
from credits_engine.administration import corrections
from credits_engine.migration import backup
from credits_engine.migration.restore import RestoreResult, restore
from credits_engine.store.accounts import EVERYBODY
from tests import postgres
from tests.credits_engine.conftest import Consumer
from tests.installation import Installation

Restore = Callable[[], RestoreResult]


@pytest.fixture
def installation(consumer: Consumer, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """An installation whose rollout has reached everybody."""
    postgres.use_programs(monkeypatch)
    installation = Installation(consumer.app)
    installation.plan()
    installation.move(3, 3)
    consumer.user("ada")
    return installation


@pytest.fixture
def back(installation: Installation, database_url: str, tmp_path: Path) -> Restore:
    """Make a backup now; calling it restores that one."""
    kept = tmp_path / "kept.backup"
    backup.backup(database_url, kept)

    def back() -> RestoreResult:
        with transaction() as session:
            corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
        return put_back(kept)

    return back


def put_back(kept: Path) -> RestoreResult:
    return restore(
        kept, folder=kept.parent, clock=lambda: datetime.now(UTC), actor="console:test", reason="Books were damaged"
    )
