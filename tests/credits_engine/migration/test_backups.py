"""Backups by themselves: when they are due, which go, and that one can be put back."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from control_plane.platform import start_checks
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import Settings
from credits_engine.migration import backup, backups
from credits_engine.migration.backup import open_copy
from credits_engine.migration.backups import FAILURES, check, is_due, outdated
from tests import postgres

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
TIMES = st.lists(st.datetimes(timezones=st.just(UTC)), unique=True)


@pytest.fixture
def settings(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    postgres.use_programs(monkeypatch)
    return replace(settings, backup_dir=str(tmp_path / "backups"), backup_count=2)


@pytest.fixture
def made(app: Flask, tmp_path: Path) -> Callable[[], list[str]]:
    """The names of the files in the folder."""
    return lambda: sorted(path.name for path in (tmp_path / "backups").iterdir())


def test_one_is_due_when_there_is_none_and_when_the_newest_is_old() -> None:
    assert is_due([], NOW, DAY)
    assert not is_due([NOW - DAY / 2], NOW, DAY)
    assert is_due([NOW - DAY, NOW - 2 * DAY], NOW, DAY)


def test_one_from_the_future_keeps_none_from_being_made() -> None:
    assert is_due([NOW + DAY], NOW, DAY)


@given(times=TIMES, keep=st.integers(1, 20))
def test_the_newest_stay_and_every_older_one_goes(times: list[datetime], keep: int) -> None:
    gone = outdated(times, keep)
    stay = set(times) - set(gone)
    assert len(stay) == min(keep, len(times))
    assert not gone or max(gone) < min(stay)


@pytest.mark.database("sqlite")
def test_the_leader_makes_one_a_day_and_keeps_as_many_as_it_should(app: Flask, made: Callable[[], list[str]]) -> None:
    with app.app_context():
        for hours in (0, 1, 24, 25, 48):
            check(NOW + timedelta(hours=hours))
        assert made() == ["rollout-20261130T120000Z.backup", "rollout-20261201T120000Z.backup"]
        with read_only() as session:
            entries = audit.latest(session, subject=backups.SUBJECT, limit=10)
        assert [entry.actor for entry in entries] == ["schedule"] * 3


@pytest.mark.database("sqlite")
def test_what_others_put_beside_them_stays(app: Flask, tmp_path: Path, made: Callable[[], list[str]]) -> None:
    others = ["before-upgrade.backup", "rollout-by-hand.backup", "rollout-20200101T000000Z.backup.gz"]
    (tmp_path / "backups").mkdir()
    for name in others:
        (tmp_path / "backups" / name).touch()
    with app.app_context():
        for day in range(4):
            check(NOW + day * DAY)
    assert set(others) < set(made())
    assert len(made()) == len(others) + 2


def test_it_is_whole_and_for_this_user_alone(app: Flask, settings: Settings, tmp_path: Path) -> None:
    with app.app_context():
        check(NOW)
    (path,) = (tmp_path / "backups").glob("*.backup")
    assert path.stat().st_mode & 0o077 == 0
    if settings.database_url.startswith("sqlite"):
        open_copy(path).close()
    else:
        assert path.read_bytes().startswith(b"PGDMP")


@pytest.mark.database("sqlite")
def test_a_disk_that_takes_nothing_costs_no_backup_that_is_there(
    app: Flask, tmp_path: Path, made: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise backup.CopyError("No space left on device.")

    with app.app_context():
        check(NOW)
        before, failures = made(), FAILURES._value.get()
        monkeypatch.setattr(backup, "backup", full)
        with capture_logs() as events:
            check(NOW + 2 * DAY)
    assert made() == before
    assert FAILURES._value.get() == failures + 1
    assert [(each["event"], each["cause"]) for each in events] == [("backup.failed", "No space left on device.")]


@pytest.mark.database("postgresql")
def test_a_server_that_is_to_back_up_by_a_program_that_is_missing_says_so_at_its_start(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_checks.run(app)
    monkeypatch.setenv("PATH", "")
    said = "BACKUP_DIR is set, but no backup can be made: pg_dump is not installed"
    with pytest.raises(SettingsError, match=said):
        start_checks.run(app)


@pytest.mark.database("sqlite")
def test_nothing_is_written_without_a_folder(app: Flask, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backups, "current", lambda: replace(settings, backup_dir=""))
    with app.app_context():
        check(NOW)
    assert not Path(settings.backup_dir).exists()
