import json
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import delete, insert, select, update

from control_plane.platform.db.database import read_only, transaction
from credits_engine.cli import register
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import Outcome
from credits_engine.engines.periods import calendar_month
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store.tables import COUNTERS, LEGACY
from tests import postgres
from tests.credits_engine.conftest import Consumer

pytestmark = pytest.mark.usefixtures("console")


@pytest.fixture
def console(consumer: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal on the consumer's database; ada and bob were counted by the system before."""
    consumer.now = datetime.now(UTC)
    for user_id, analysis in (("ada", 7), ("bob", 120)):
        consumer.user(user_id)
        counted(consumer, user_id, analysis)
    consumer.user("eve")
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    postgres.use_programs(monkeypatch)


def counted(consumer: Consumer, user_id: str, analysis: int) -> None:
    """Insert a row of the old system's book, which no journal knows."""
    row = {
        "user_id": user_id,
        "month_start": calendar_month(consumer.now).start,
        "used": Amounts(analysis, 1),
    }
    with transaction() as session:
        session.execute(insert(LEGACY), row)


def terminal(*arguments: str) -> Result:
    rollout = click.Group()
    register(rollout)
    group = () if arguments[0] in rollout.commands else ("credits",)
    return CliRunner().invoke(rollout, (*group, *arguments))


def periods() -> list[tuple[str, int, int]]:
    with read_only() as session:
        columns = COUNTERS.c.user_id, COUNTERS.c.used
        rows = session.execute(select(*columns).order_by(COUNTERS.c.user_id))
        return [(row.user_id, row.used["analysis"], row.used["roast"]) for row in rows]


def test_a_backfill_opens_periods_and_carries_over_what_legacy_counted(consumer: Consumer) -> None:
    shown = terminal("backfill", "--batch-size", "2")
    assert shown.exit_code == 0, shown.output
    assert "3 users: 3 periods opened, 129 credits carried over, 0 errors." in shown.output
    assert periods() == [("ada", 7, 1), ("bob", 120, 1), ("eve", 0, 0)]
    with read_only() as session:
        assert reconcile(session).clean
    consumer.v2 = True
    assert consumer.take("bob", "k1", analysis=1).outcome is Outcome.DENIED_LIMIT
    assert terminal("verify").exit_code == 0


def test_running_it_again_changes_nothing(consumer: Consumer) -> None:
    terminal("backfill")
    before, rows = periods(), consumer.journal("ada")
    consumer.take("ada", "k1", analysis=2)
    assert "0 periods opened, 0 credits carried over" in terminal("backfill").output
    assert consumer.books("ada").v2.used == consumer.books("ada").legacy.used == Amounts(9, 1)
    assert (periods()[1:], len(consumer.journal("ada"))) == (before[1:], len(rows) + 1)


def test_a_dry_run_says_what_a_run_would_do_and_writes_nothing(consumer: Consumer) -> None:
    shown = terminal("backfill", "--dry-run")
    assert "ada: opens a period, carries over 7 analysis and 1 roast" in shown.output
    assert "129 credits would be carried over" in shown.output
    assert (periods(), consumer.journal("ada")) == ([], [])
    planned = json.loads(terminal("backfill", "--dry-run", "--json").stdout)
    done = json.loads(terminal("backfill", "--json").stdout)
    assert planned | {"dryRun": False} == done


def test_one_users_error_is_told_and_stops_nobody_else(consumer: Consumer) -> None:
    consumer.user("bob", "gold")
    shown = terminal("backfill")
    assert shown.exit_code == 1
    assert "bob: Plan 'gold' is not in the catalogue" in shown.output
    assert [user_id for user_id, *_ in periods()] == ["ada", "eve"]


def test_a_stopped_run_goes_on_where_it_was(tmp_path: Path) -> None:
    (tmp_path / "backfill-progress").write_text("ada")
    assert "2 users:" in terminal("backfill", "--resume").output
    assert [user_id for user_id, *_ in periods()] == ["bob", "eve"]
    assert not (tmp_path / "backfill-progress").exists()


def test_verify_names_who_has_no_period_and_which_books_differ() -> None:
    shown = terminal("verify")
    assert shown.exit_code == 1
    assert "3 users without a running period" in shown.output
    terminal("backfill")
    with transaction() as session:
        session.execute(update(COUNTERS).where(COUNTERS.c.user_id == "ada").values(used=Amounts(analysis=8)))
    assert json.loads(terminal("verify", "--json").stdout)["found"] == 1


def test_the_guides_recovery_from_damage_loses_nothing(consumer: Consumer, tmp_path: Path) -> None:
    terminal("backfill")
    kept = str(tmp_path / "kept.backup")
    assert terminal("backup", kept).exit_code == 0
    refused = terminal("restore", kept, "--reason", "damage")
    assert (refused.exit_code, "Consumption goes on" in refused.output) == (1, True)
    terminal("freeze", "--everybody", "--reason", "damage")
    with transaction() as session:
        session.execute(delete(COUNTERS))
    shown = terminal("restore", kept, "--reason", "damage")
    assert shown.exit_code == 0, shown.output
    assert periods() == [("ada", 7, 1), ("bob", 120, 1), ("eve", 0, 0)]
    assert consumer.take("ada", "k1", analysis=1).outcome is Outcome.DENIED_STATE
    assert (terminal("backfill").exit_code, terminal("verify").exit_code) == (0, 0)
    terminal("unfreeze", "--everybody", "--reason", "whole again")
    assert consumer.take("ada", "k2", analysis=1).outcome is Outcome.ALLOWED


def test_the_drill_plays_it_through_on_a_copy_alone(
    consumer: Consumer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the instance is named as seen from here, as by default: the copy was then sought elsewhere."""
    monkeypatch.chdir(tmp_path.parent)
    monkeypatch.setenv("INSTANCE_DIR", tmp_path.name)
    terminal("backfill")
    before = periods()
    shown = terminal("restore-test")
    assert shown.exit_code == 0, shown.output
    assert "3 rows spoiled, 3 of them found" in shown.output
    assert "Nothing is lost." in shown.output
    assert periods() == before
    assert consumer.take("ada", "k1", analysis=1).outcome is Outcome.ALLOWED


@pytest.mark.database("sqlite")
def test_a_backup_that_is_none_replaces_nothing(consumer: Consumer, tmp_path: Path) -> None:
    terminal("freeze", "--everybody", "--reason", "damage")
    broken = tmp_path / "broken.backup"
    broken.write_bytes(b"this is no database" * 100)
    shown = terminal("restore", str(broken), "--reason", "damage")
    assert (shown.exit_code, "could not be copied" in shown.output) == (1, True)
    assert consumer.books("ada").legacy.used == Amounts(7, 1)
