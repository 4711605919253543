"""What is known of users outlives the database, and the file that keeps it outlives whatever happens to it."""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import SETTINGS, Settings
from flags import store
from flags.client_features import user_directory as known
from flags.client_features import user_directory_backup
from flags.client_features.refresher import REFRESHER
from flags.client_features.user_directory import USER_DIRECTORY, UserDirectory
from flags.evaluation.contexts import KnownAttributes
from flags.store import UserAttributes, upsert_users, users
from tests.applications import application
from tests.installation import CUTOVER, Installation

NEW = UserAttributes("new", "pro", CUTOVER + timedelta(days=1))
OLD = UserAttributes("old", "free", CUTOVER - timedelta(days=1))
BETA = UserAttributes("tester", "free", None, beta=True)
USERS = {"new": ("pro", 1.5, False), "tester": ("free", None, True)}


@pytest.fixture
def installation(app: Flask) -> Installation:
    """An installation with three users, whose rollout is open to new signups and testers."""
    installation = Installation(app)
    installation.plan()
    installation.watch()
    installation.users(NEW, OLD, BETA)
    installation.move(2, 3)
    installation.publish()
    return installation


def directory_of(app: Flask) -> UserDirectory:
    found = USER_DIRECTORY.get(app)
    assert isinstance(found, UserDirectory)
    return found


def answers(app: Flask, token: str) -> dict[str, object]:
    """Return OFREP's answer about the flag for each user, by id alone."""
    found = {}
    for user in ("new", "old", "tester", "stranger"):
        answer = app.test_client().post(
            f"/ofrep/v1/evaluate/flags/{FLAG}",
            json={"context": {"targetingKey": user}},
            headers={"Authorization": token},
        )
        found[user] = answer.get_json().get("value")
    return found


def test_a_start_without_the_database_gives_known_users_the_same_answers(
    installation: Installation, app: Flask, settings: Settings
) -> None:
    with app.app_context():
        directory_of(app).follow(datetime.now(UTC))
        REFRESHER.get(app).current("production")
        REFRESHER.get(app).save_backup()
        directory_of(app).save_backup()
    away = replace(settings, database_url="postgresql+psycopg://nobody:x@127.0.0.1:1/none")
    with application(away, schema_may_wait=True) as later, later.app_context():
        directory_of(later).follow(datetime.now(UTC))
        directory = directory_of(later)
        assert directory.find("new") == KnownAttributes("pro", NEW.signed_up_at)
        assert directory.find("old") == KnownAttributes("free", OLD.signed_up_at)
        assert directory.find("tester") == KnownAttributes("free", None, beta=True)
        assert directory.find("stranger") is None


def test_answers_are_the_same_where_only_the_database_went_away(
    installation: Installation, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = installation.token("frontend")
    before = answers(app, token)
    assert before == {"new": True, "old": False, "tester": True, "stranger": False}
    with app.app_context():
        directory_of(app).save_backup()
    again = UserDirectory(SETTINGS.get(app).flags_backup_dir)
    monkeypatch.setattr(known, "_read", _fails)
    USER_DIRECTORY.set(app, again)
    assert answers(app, token) == before


def test_only_what_changed_is_written(installation: Installation, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = directory_of(app)
    with app.app_context():
        directory.follow(datetime.now(UTC))
        directory.save_backup()
        written: list[dict[str, object]] = []
        monkeypatch.setattr(user_directory_backup, "save", lambda _folder, entries: written.append(dict(entries)))
        directory.follow(datetime.now(UTC))
        directory.save_backup()
        assert written == []
        installation.users(replace(OLD, plan="pro"))
        directory.follow(datetime.now(UTC))
        directory.save_backup()
    assert [list(each) for each in written] == [["old"]]


def test_a_change_that_bears_an_older_instant_is_known_a_little_later(installation: Installation, app: Flask) -> None:
    directory, now = directory_of(app), datetime.now(UTC)

    def plan_after(seconds: float) -> str:
        directory.follow(now + timedelta(seconds=seconds))
        found = directory.find("old")
        assert found is not None
        return str(found.plan)

    with app.app_context():
        assert plan_after(0) == "free"
        with transaction() as session:
            upsert_users(session, [replace(OLD, plan="pro")], now=now - timedelta(seconds=1))
        assert plan_after(1) == "pro"
        with transaction() as session:
            upsert_users(session, [OLD], now=now - timedelta(seconds=50))
        assert plan_after(14) == "pro"
        assert plan_after(15) == "free"


def test_whom_an_import_brought_is_not_read_again_each_second(
    installation: Installation, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, now = directory_of(app), datetime.now(UTC)
    read: list[int] = []

    def counted(*arguments: Any, **named: Any) -> list[UserAttributes]:
        found = list(users(*arguments, **named))
        read.append(len(found))
        return found

    monkeypatch.setattr(store, "users", counted)
    with app.app_context():
        for second in range(3, 33):
            directory.follow(now + timedelta(seconds=second))
    assert read == [3] + 14 * [0] + [3] + 14 * [0]


def test_what_can_not_be_kept_is_kept_later(
    installation: Installation, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, folder = directory_of(app), SETTINGS.get(app).flags_backup_dir
    with app.app_context():
        directory.follow(datetime.now(UTC))
        with monkeypatch.context() as full:
            full.setattr(user_directory_backup, "save_all", _is_full)
            directory.save_backup()
        assert user_directory_backup.load(folder) == {}
        directory.save_backup()
    assert set(user_directory_backup.load(folder)) == {"new", "old", "tester"}


def test_users_who_are_gone_are_forgotten_when_everyone_is_read_again(tmp_path: Path) -> None:
    user_directory_backup.save_all(tmp_path, USERS)
    user_directory_backup.save(tmp_path, {"late": ("plus", 2.0, False)})
    assert user_directory_backup.load(tmp_path) == USERS | {"late": ("plus", 2.0, False)}
    user_directory_backup.save_all(tmp_path, {"new": ("free", 1.5, False)})
    assert user_directory_backup.load(tmp_path) == {"new": ("free", 1.5, False)}


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:3000]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(os.urandom(8192)),
        lambda path: path.write_bytes(path.read_bytes()[:100] + os.urandom(8092)),
        lambda path: path.unlink(),
    ],
    ids=["torn", "empty", "rubbish", "rubbish behind its head", "gone"],
)
def test_a_file_that_is_damaged_knows_nobody_and_is_made_anew(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    user_directory_backup.save_all(tmp_path, USERS)
    harm(tmp_path / user_directory_backup.NAME)
    assert user_directory_backup.load(tmp_path) == {}
    for _attempt in range(2):
        try:
            user_directory_backup.save_all(tmp_path, USERS)
        except sqlite3.DatabaseError:
            continue
    assert user_directory_backup.load(tmp_path) == USERS


def test_a_write_that_is_cut_off_leaves_what_was_there(tmp_path: Path) -> None:
    user_directory_backup.save_all(tmp_path, USERS)
    with pytest.raises(sqlite3.Error):
        user_directory_backup.save(tmp_path, {"a": ("free", 1.0, False), "z": (object(), None, False)})  # type: ignore[dict-item]
    assert user_directory_backup.load(tmp_path) == USERS


def _fails(*_: object) -> None:
    raise SQLAlchemyError("away")


def _is_full(*_: object) -> None:
    raise OSError("No space left on device")
