"""The rollout guide from its first checklist to the end of legacy, with all that goes wrong on the way."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from control_plane import bootstrap, rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.checklist import ItemStatus
from control_plane.core.gates import GateStatus
from control_plane.core.phases import RolloutState
from control_plane.core.transitions import Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.plans.templates import TEMPLATES
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName
from credits_engine.migration import backup, backups, retirement
from credits_engine.migration.restore import restore
from credits_engine.operations import guard_signals
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.store.accounts import EVERYBODY
from flags.administration.users import UserChange, import_users
from tests import postgres
from tests.journeys.guide import DAY, OWNER, USERS, Guide

SECOND = "SEARCH_V2"
Restored = Callable[[Guide], AbstractContextManager[None]]


@pytest.fixture
def guide(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[Guide]:
    # How long v2 takes on a busy machine is no part of the guide, and a dozen operations are few to judge it by.
    monkeypatch.setattr(guard_signals, "NOTICED_US", 60_000_000)
    start = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    with app.app_context():
        with transaction() as session:
            bootstrap.bootstrap(session, start)
            signups = {"new": start + DAY, "beta": start - 300 * DAY, "old": start - 300 * DAY}
            changes = [
                UserChange(user, {"plan": "pro", "signed_up_at": signups[user], **attributes})
                for user, attributes in USERS.items()
            ]
            import_users(session, changes, actor=OWNER, now=start)
        yield Guide(start)


@pytest.fixture
def restored(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Restored:
    """Return a context in which whatever happens is undone by a restore: of a backup that is made on the way in."""
    postgres.use_programs(monkeypatch)
    kept = tmp_path / "kept.backup"

    @contextmanager
    def restored(guide: Guide) -> Iterator[None]:
        backup.backup(database_url, kept)
        yield
        with transaction() as session:
            corrections.freeze(session, EVERYBODY, guide.change("The books are damaged."))
        restore(kept, folder=tmp_path, clock=lambda: guide.now, actor="console:test", reason="Books were damaged.")

    return restored


def test_the_whole_guide_with_an_emergency_a_restore_and_a_second_flag(guide: Guide, restored: Restored) -> None:
    guide.look()
    assert guide.gate("checklists").status is GateStatus.UNKNOWN
    assert guide.gate("soak").status is GateStatus.CLOSED
    guide.prepare()
    assert guide.step() == {EngineName.LEGACY}, "week 1: production is in shadow"
    assert guide.rollout.phase.name == "beta"
    begin_second_flag(guide)
    assert guide.step() == {EngineName.LEGACY, EngineName.V2}, "week 2: the team is on v2"
    an_emergency(guide)
    guide.climb("new-signups")
    a_restore(guide, restored)
    guide.climb("everyone")
    guide.complete()
    assert guide.work() == {EngineName.V2}
    after_care(guide)
    the_end_of_legacy(guide)
    with read_only() as session:
        assert audit.verify(session).intact
        assert rollouts.find(session, SECOND).state is RolloutState.RUNNING


def begin_second_flag(guide: Guide) -> None:
    with transaction() as session:
        plan = TEMPLATES["percentage-ramp"].make(guide.now)
        rollouts.plan(session, SECOND, plan, guide.change("The next one."))


def an_emergency(guide: Guide) -> None:
    """Roll back as anybody with the role does, leave the second flag alone, and begin again after the cool-down."""
    with transaction() as session:
        emergency = ChangeContext(guide.now, "olga", "Customers see wrong balances.")
        assert isinstance(rollouts.roll_back(session, FLAG, emergency), Transition)
        assert rollouts.find(session, SECOND).state is RolloutState.RUNNING
    assert guide.work() == {EngineName.LEGACY}
    assert isinstance(guide.advance(), Refusal)
    guide.rearm()
    assert guide.rollout.phase.name == "development"
    guide.look()
    first, second = guide.checklists()
    assert first.of(ItemStatus.OPEN) == (), "what was signed once for all attempts stays signed"
    assert len(second.of(ItemStatus.OPEN)) == 4, "the validation of a phase is asked for again"


def a_restore(guide: Guide, restored: Restored) -> None:
    """Put a backup back: both flags come up latched, the books are those of the backup, and both begin again."""
    with restored(guide):
        before = guide.used()
        guide.work()
    assert guide.used() == before
    for flag in (FLAG, SECOND):
        with read_only() as session:
            assert rollouts.find(session, flag).latched
    with transaction() as session:
        corrections.unfreeze(session, EVERYBODY, guide.change("The books were compared."))
    assert guide.work() == {EngineName.LEGACY}
    for flag in (FLAG, SECOND):
        guide.rearm(flag)
    guide.prepare()


def after_care(guide: Guide) -> None:
    """See week 1, month 1 and month 3 begin by themselves, and go on over a hold."""
    names = [state.checklist.name for state in guide.checklists()]
    assert names == ["week-1", "month-1", "month-3"], "after-care begins by itself"
    due = [state.due_at for state in guide.checklists()]
    guide.hold_for(8 * DAY)
    assert [state.due_at for state in guide.checklists()] == due, "a hold begins nothing again"
    assert [state.is_late(guide.now) for state in guide.checklists()] == [True, False, False]
    guide.look()
    assert guide.checklists()[2].items[0].status is ItemStatus.FAILING, "legacy may not go yet"
    guide.now += 85 * DAY
    guide.work(340)
    guide.look()
    assert guide.checklists()[2].items[0].status is ItemStatus.TICKED
    guide.sign_all()
    assert not any(state.is_late(guide.now) for state in guide.checklists())


def the_end_of_legacy(guide: Guide) -> None:
    """Retire legacy, which no longer answers beside v2."""
    with transaction() as session:
        audit.record(session, guide.change("Daily."), action="credits.backup", subject=backups.SUBJECT, after={})
    with transaction() as session:
        retirement.retire(session, now=guide.now, actor=OWNER, reason="Month 3 is over.")
    operation = Operation("new", "the first without legacy", Amounts(analysis=1), "shop")
    receipt = run_operation(operation, now=guide.now)
    assert (receipt.served.engine, receipt.comparison.variance) == (EngineName.V2, Variance.RETIRED)
