"""A restore: nothing is open at any instant, no revision comes twice, and the trail says what was replaced."""

import hashlib
import json
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from control_plane import migrations, rollouts
from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit, audit_anchors
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.models import AuditEntryRow
from control_plane.platform.runtime import change_feed
from control_plane.platform.settings import Settings
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.top_ups import Purchase
from credits_engine.erasure.service import erase
from credits_engine.migration import backup
from credits_engine.migration.backup import CopyError
from credits_engine.migration.restore import ACTION, RestoreRefused
from credits_engine.migration.retirement import checks
from credits_engine.store.accounts import EVERYBODY, frozen_because
from credits_engine.store.tables import PACK_ENTRIES, PACKS
from flags import store
from flags.client_features.user_directory import USER_DIRECTORY, UserDirectory
from flags.store import UserAttributes
from tests.applications import application
from tests.credit_kinds import ROAST
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.restoring.conftest import Restore, put_back
from tests.faults.ledger import assert_whole
from tests.installation import Installation


def trail() -> list[AuditEntryRow]:
    with read_only() as session:
        return list(audit.every(session))


def test_the_trail_says_what_was_replaced_and_keeps_it(
    installation: Installation, back: Restore, tmp_path: Path
) -> None:
    installation.roll_back()
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    replaced = trail()
    done = back()
    entry = next(each for each in trail() if each.action == ACTION)
    assert entry.after == done.document
    assert (entry.actor, entry.reason) == ("console:test", "Books were damaged")
    assert entry.after["backup"].endswith("kept.backup")
    assert entry.after["audit_cut"] == 2, "the rollback and the freeze"
    assert entry.after["audit_last_hash"] == replaced[-1].hash
    kept = (tmp_path / entry.after["audit_kept_in"]).read_bytes()
    assert hashlib.sha256(kept).hexdigest() == entry.after["audit_kept_sha256"]
    assert [json.loads(line)["hash"] for line in kept.splitlines()] == [each.hash for each in replaced]
    assert (tmp_path / entry.after["audit_kept_in"]).stat().st_mode & 0o077 == 0
    with read_only() as session:
        assert audit.verify(session).intact


def test_anchors_of_what_restores_cut_off_are_explained_and_no_others(
    installation: Installation, database_url: str, back: Restore, tmp_path: Path
) -> None:
    def lost() -> tuple[int, int]:
        with read_only() as session:
            gone = audit.verify(session, audit_anchors.read_file(audit_anchors.own_file())).anchors_lost
            return len(gone), len(audit_anchors.explained(session, gone))

    installation.roll_back()
    audit_anchors.export(datetime.now(UTC))
    done = back()
    assert lost() == (1, 1)
    audit_anchors.export(datetime.now(UTC))
    back()
    assert lost() == (2, 2), "also what the first restore cut off, of which only the file of the second tells"
    (tmp_path / done.document["audit_kept_in"]).write_text("")
    assert lost() == (2, 1), "a file that somebody changed explains nothing"


def test_no_revision_comes_twice(installation: Installation, back: Restore) -> None:
    installation.roll_back()
    with read_only() as session:
        before = change_feed.revision(session)
    back()
    with read_only() as session:
        restored, first = change_feed.revision(session), store.restore_revision(session)
    assert restored > first > before
    installation.move(1)
    with read_only() as session:
        assert change_feed.revision(session) > restored


def test_at_no_instant_anything_is_open(installation: Installation, back: Restore, settings: Settings) -> None:
    installation.roll_back()
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    seen: set[tuple[bool, bool]] = set()
    begun, over = threading.Event(), threading.Event()

    def look() -> None:
        with application(settings) as another, another.app_context():
            while not over.is_set():
                with transaction() as session:
                    state = rollouts.find(session, FLAG).latched, frozen_because(session, EVERYBODY) is not None
                    seen.add(state)
                begun.set()

    watching = threading.Thread(target=look)
    watching.start()
    assert begun.wait(60)
    try:
        back()
    finally:
        over.set()
        watching.join()
    assert seen == {(True, True)}


def test_the_record_of_the_last_backup_is_kept(installation: Installation, back: Restore) -> None:
    made_at = datetime.now(UTC) - timedelta(hours=3)
    with transaction() as session:
        audit.record(
            session,
            ChangeContext(made_at, "console:test", "-"),
            action="credits.backup",
            subject="credits:backup",
            after={"path": "kept.backup", "bytes": 7},
        )
    for _ in range(2):
        back()
        with read_only() as session:
            found = {check.name: check for check in checks(session, datetime.now(UTC))}["backup"]
        assert (found.passed, f"{made_at:%H:%M}" in found.detail) == (True, True)


def test_a_backup_of_an_earlier_version_is_brought_up_to_date(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    migrations.downgrade("0012")
    backup.backup(database_url, tmp_path / "old.backup")
    migrations.upgrade()
    put_back(tmp_path / "old.backup")
    with read_only() as session:
        assert migrations.current(session) == migrations.head()
        assert rollouts.find(session, FLAG).latched


def test_what_moved_packs_in_a_backup_of_keys_without_the_account_names_nobody_who_was_erased_since(
    installation: Installation, database_url: str, tmp_path: Path
) -> None:
    consumer = Consumer(installation.app, now=datetime.now(UTC))
    for user in ("mirabella", "roberto"):
        consumer.user(user, anchor=consumer.now)
        with transaction() as session:
            purchase = Purchase(user, ROAST, 9, consumer.now + timedelta(days=30))
            top_ups.top_up(session, purchase, ChangeContext(consumer.now, "test", "Bought."), key="b1")
        consumer.take(user, "k1", roast=12)
    migrations.downgrade("0067")
    backup.backup(database_url, tmp_path / "old.backup")
    migrations.upgrade()
    erased = erase("mirabella", ChangeContext(consumer.now, "alice", "Asked by letter."))
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    put_back(tmp_path / "old.backup")
    with read_only() as session:
        named = {*session.scalars(select(PACK_ENTRIES.c.user_id)), *session.scalars(select(PACKS.c.user_id))}
    assert (len(named), "roberto" in named, "mirabella" in named) == (2, True, False)
    assert erased.rows["credit_pack_entry"] > 0
    assert_whole(installation.app)


def test_it_is_refused_while_consumption_goes_on(installation: Installation, database_url: str, tmp_path: Path) -> None:
    backup.backup(database_url, tmp_path / "other.backup")
    with pytest.raises(RestoreRefused, match="stop it first"):
        put_back(tmp_path / "other.backup")
    assert list(tmp_path.glob("audit-*")) == []


@pytest.mark.database("sqlite")
def test_a_database_of_something_else_is_no_backup(installation: Installation, tmp_path: Path) -> None:
    with transaction() as session:
        corrections.freeze(session, EVERYBODY, ChangeContext(datetime.now(UTC), "test", "damage"))
    (tmp_path / "empty.db").touch()
    with pytest.raises(CopyError, match="holds no rollout database"):
        put_back(tmp_path / "empty.db")
    with read_only() as session:
        assert not rollouts.find(session, FLAG).latched


def test_a_process_that_runs_on_forgets_who_came_since(installation: Installation, back: Restore) -> None:
    directory = USER_DIRECTORY.get(installation.app)
    assert isinstance(directory, UserDirectory)
    installation.users(UserAttributes("mia", "free", beta=True))
    directory.follow(datetime.now(UTC))
    assert directory.find("mia") is not None
    back()
    directory.follow(datetime.now(UTC))
    assert (directory.find("mia"), directory.find("ada") is None) == (None, False)
