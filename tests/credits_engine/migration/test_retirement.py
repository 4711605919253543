"""Legacy's end: refused until everything is quiet, one switch, a rollback that still loses nothing, a way back."""

import csv
import gzip
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Phase, Plan, RolloutState
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts import store
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.decisions import Book, Decision, EngineName, Outcome, Request
from credits_engine.engines.receipts import from_columns, replayed
from credits_engine.migration import retirement
from credits_engine.migration.backups import SUBJECT as BACKUP_SUBJECT
from credits_engine.migration.retirement import RetirementRefused
from credits_engine.operations.consumption import Engines
from credits_engine.operations.guard_signals import exempt_signals, outcome_signals
from credits_engine.reconciliation.journal import reconcile
from flags.store.overrides import Effect, put_override
from tests.credits_engine.conftest import Consumer
from tests.credits_engine.test_cli import terminal

REASON = {"actor": "test", "reason": "Month 3."}


@pytest.fixture
def quiet(consumer: Consumer) -> Consumer:
    """Everybody on v2 and complete for 31 days, a user with a period, and a backup of an hour ago."""
    consumer.now = datetime.now(UTC)
    consumer.v2 = True
    consumer.user("ada")
    consumer.take("ada", "first", analysis=1)
    complete(consumer.now - timedelta(days=31))
    back_up(consumer.now - timedelta(hours=1))
    return consumer


def complete(since: datetime) -> None:
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(since), ChangeContext(since, "test", "test"))
        rollout = replace(rollouts.find(session, FLAG), state=RolloutState.COMPLETE, state_changed_at=since, version=2)
        assert store.compare_and_set(session, rollout, expected_version=1)


def back_up(at: datetime) -> None:
    with transaction() as session:
        audit.record(
            session,
            ChangeContext(at, "test", "test"),
            action="credits.backup",
            subject=BACKUP_SUBJECT,
            before=None,
            after={},
        )


def retire(consumer: Consumer) -> None:
    with transaction() as session:
        retirement.retire(session, now=consumer.now, **REASON)


def failing(_book: Book, _request: Request) -> Decision:
    raise ValueError


def failed(consumer: Consumer) -> list[str]:
    with read_only() as session:
        return [check.name for check in retirement.checks(session, consumer.now) if not check.passed]


def test_a_retired_legacy_is_not_asked_and_its_book_goes_on(quiet: Consumer) -> None:
    retire(quiet)
    quiet.engines = Engines(legacy=failing)
    receipt = quiet.take("ada", "k1", analysis=2)
    assert (receipt.outcome, receipt.shadow.outcome) == (Outcome.ALLOWED, None)
    assert receipt.comparison.variance is Variance.RETIRED
    assert quiet.journal("ada")[-1]["variance"] is None
    assert quiet.take("ada", "k1", analysis=2) == replayed(receipt)
    both = quiet.books("ada")
    assert both.legacy.used == both.v2.used == Amounts(3, 0)
    serving = {"credit_serving_failure", "credit_consumption_failure", "credit_consumption_slow"}
    told = serving | {"credit_shadow_skipped"}
    assert {signal.signal for signal in outcome_signals(receipt)} == told, "nothing is compared, and nothing is missed"
    assert [signal.signal for signal in exempt_signals(receipt)] == ["credit_comparison_missing"]


def test_a_rollback_afterwards_finds_legacy_as_if_it_had_never_been_retired(quiet: Consumer) -> None:
    retire(quiet)
    quiet.take("ada", "k1", analysis=90)
    quiet.v2 = False
    refused = quiet.take("ada", "k2", analysis=10)
    assert (refused.outcome, refused.served.engine) == (Outcome.DENIED_LIMIT, EngineName.LEGACY)
    served = quiet.take("ada", "k3", analysis=9)
    assert (served.outcome, served.shadow.outcome) == (Outcome.ALLOWED, Outcome.ALLOWED)
    assert served.comparison.variance is Variance.MATCH
    with read_only() as session:
        assert reconcile(session).clean


def test_it_is_refused_while_one_environment_is_still_rolled_out(quiet: Consumer) -> None:
    phase = Phase("everyone", "Everyone", "everyone", (10, 100), timedelta(0))
    change = ChangeContext(quiet.now, "test", "test")
    with transaction() as session:
        plan = Plan((phase,), quiet.now, environment="staging")
        rollouts.plan(session, f"{FLAG}@staging", plan, change, confirm_losing=True)
    assert failed(quiet) == ["complete"]
    with pytest.raises(RetirementRefused, match="The rollout of staging is running, not complete"):
        retire(quiet)


def test_it_is_refused_until_the_rollout_is_complete_for_its_time(consumer: Consumer) -> None:
    consumer.now = datetime.now(UTC)
    assert failed(consumer) == ["complete", "backup"]
    complete(consumer.now - timedelta(days=29))
    back_up(consumer.now - timedelta(hours=25))
    assert failed(consumer) == ["complete", "backup"]
    with pytest.raises(RetirementRefused, match=r"30 days are needed.*last backup"):
        retire(consumer)


def test_it_is_refused_while_anybody_is_kept_on_legacy(quiet: Consumer) -> None:
    with transaction() as session:
        put_override(session, FLAG, "ada", Effect.DENY, ChangeContext(quiet.now, "test", "test"), expires_at=None)
    assert failed(quiet) == ["everybody"]


def test_it_is_refused_while_legacy_has_just_served(quiet: Consumer) -> None:
    quiet.v2 = False
    quiet.take("ada", "k1", analysis=1)
    assert failed(quiet) == ["everybody"]


def test_it_is_refused_while_a_variance_is_open(quiet: Consumer) -> None:
    quiet.engines = Engines(legacy=failing, v2=v2.decide)
    quiet.take("ada", "k1", analysis=1)
    assert failed(quiet) == ["quiet"]
    with read_only() as session:
        later = {check.name: check.passed for check in retirement.checks(session, quiet.now + timedelta(days=30))}
    assert later["quiet"]


def test_it_is_refused_while_somebody_has_no_period(quiet: Consumer) -> None:
    quiet.user("bob")
    assert failed(quiet) == ["verify"]


def test_the_way_back_is_open_until_the_book_is_archived(quiet: Consumer, tmp_path: Path) -> None:
    with pytest.raises(RetirementRefused, match="not retired"), transaction() as session:
        retirement.reinstate(session, now=quiet.now, **REASON)
    retire(quiet)
    with pytest.raises(RetirementRefused, match="already"):
        retire(quiet)
    with transaction() as session:
        retirement.reinstate(session, now=quiet.now, **REASON)
    assert quiet.take("ada", "k1", analysis=1).comparison.variance is Variance.MATCH
    retire(quiet)
    path = tmp_path / "legacy.csv.gz"
    with transaction() as session:
        assert retirement.archive(session, path, now=quiet.now, **REASON) == 1
    with gzip.open(path, "rt", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["user_id"], row["analysis_used"], row["roast_used"]) == ("ada", "2", "0")
    final = r"archived at .* that is final. A rollback still works"
    with pytest.raises(RetirementRefused, match=final), transaction() as session:
        retirement.reinstate(session, now=quiet.now, **REASON)


def test_an_archive_that_is_not_recorded_leaves_no_file(quiet: Consumer, tmp_path: Path) -> None:
    retire(quiet)
    path = tmp_path / "legacy.csv.gz"

    def archived_and_lost() -> None:
        with transaction() as session:
            retirement.archive(session, path, now=quiet.now, **REASON)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        archived_and_lost()
    assert list(tmp_path.glob("legacy*")) == []


@pytest.mark.database("postgresql")
def test_the_function_of_the_database_does_not_ask_it_either(quiet: Consumer) -> None:
    retire(quiet)
    call = "SELECT credit_answer('ada', 'k9', '{2,0}', 'test', now(), 'staging', true, NULL, false)"
    with transaction() as session:
        session.execute(text(call))
    row = quiet.journal("ada")[-1]
    receipt = from_columns(row)
    assert (receipt.comparison, receipt.shadow.outcome) == (Comparison(Variance.RETIRED), None)
    assert receipt == replace(quiet.take("ada", "k9", analysis=2), replayed=False)
    assert quiet.books("ada").legacy.used == Amounts(3, 0)


def test_the_command_checks_retires_undoes_and_archives(
    quiet: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    shown = terminal("retire-legacy", "--dry-run")
    assert (shown.exit_code, "Legacy would be retired." in shown.output) == (0, True), shown.output
    assert "Say why" in terminal("retire-legacy").output
    assert terminal("retire-legacy", "--reason", "Month 3").exit_code == 0
    assert quiet.take("ada", "k1", analysis=1).comparison.variance is Variance.RETIRED
    assert terminal("retire-legacy", "--undo", "--reason", "Doubts").exit_code == 0
    again = terminal("retire-legacy", "--archive", str(tmp_path / "a.gz"), "--reason", "Too early")
    assert (again.exit_code, "retire it first" in again.output) == (1, True)
    assert terminal("retire-legacy", "--reason", "Month 3").exit_code == 0
    done = terminal("retire-legacy", "--archive", str(tmp_path / "a.gz"), "--reason", "Month 4")
    assert "What the next release may leave out" in done.output
    with read_only() as session:
        actions = [entry.action for entry in audit.latest(session, subject=retirement.SUBJECT)]
        assert actions == ["credits.archive", "credits.retire", "credits.bring_back", "credits.retire"]
