"""The rollout guide from its first checklist to the end of legacy, and an emergency beside a second flag."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask

from alerts.drill import store as drills
from alerts.guard_job import run_guard
from control_plane import bootstrap, rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import check_job, progress, signatures
from control_plane.checklists.signatures import ItemAddress
from control_plane.core.checklist import ChecklistState, ItemStatus
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import FLAG, Rollout, RolloutState
from control_plane.core.transitions import Refusal, Transition
from control_plane.plans.templates import TEMPLATES
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.load_test import runner as load_test
from credits_engine.migration import advance_check_job, restore_test
from credits_engine.migration.restore_test import Step
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from flags.administration.users import UserChange, import_users

OWNER = "alice"
DAY = timedelta(days=1)
REASON = "Looked at with support; the audience is too small to prove more."
USERS = {"beta": {"beta": True}, "new": {}, "old": {}}


@dataclass
class Guide:
    """The owner's weeks, on a clock of their own."""

    now: datetime
    operations: int = 0

    @property
    def rollout(self) -> Rollout:
        with read_only() as session:
            return rollouts.find(session, FLAG)

    def work(self, times: int = 4) -> set[EngineName]:
        """Let each user consume; returns who served them."""
        served = set()
        for turn in range(times):
            if turn % 5 == 0:
                run_guard(self.now, 1)  # without its heartbeat exposure ends after half a minute
            for user in USERS:
                self.operations += 1
                self.now += timedelta(seconds=1)
                operation = Operation(user, f"{self.operations}", Amounts(analysis=1), "shop")
                served.add(run_operation(operation, now=self.now).served.engine)
        return served

    def look(self) -> None:
        """Run the leader's jobs."""
        run_guard(self.now, 1)
        scheduled.check_books(self.now, "schedule")
        check_job.refresh(self.now)
        advance_check_job.refresh(self.now)

    def gate(self, name: str) -> GateResult:
        with read_only() as session:
            found = rollouts.gates(session, rollouts.find(session, FLAG), self.now)
        return next(gate for gate in found if gate.name == name)

    def checklists(self) -> list[ChecklistState]:
        with read_only() as session:
            found = progress.read(session, rollouts.find(session, FLAG), self.now)
            return [state for state in found.all if found.is_current(state)]

    def sign_all(self) -> None:
        """Sign whatever waits for a person in the checklists of now."""
        for state in self.checklists():
            for each in state.of(ItemStatus.OPEN, ItemStatus.UNKNOWN):
                address = ItemAddress(state.checklist.name, each.item.name, state.phase)
                with transaction() as session:
                    rollout = rollouts.find(session, FLAG)
                    signatures.sign(session, rollout, address, ChangeContext(self.now, OWNER, "Done."), link="")

    def advance(self) -> Transition | Refusal:
        with transaction() as session:
            version = rollouts.find(session, FLAG).version
            change = ChangeContext(self.now, OWNER)
            return rollouts.advance(session, FLAG, change, expected_version=version, approval=REASON)

    def step(self) -> set[EngineName]:
        """Soak, work, do what the checklists ask, and go one step up."""
        self.now += self.rollout.phase.soak
        served = self.work()
        self.look()
        self.sign_all()
        self.look()
        decision = self.advance()
        assert isinstance(decision, Transition), decision
        return served

    def prepare(self) -> None:
        """Have on record what the first checklist looks for: a drill, a restore test, a load test."""
        change = ChangeContext(self.now, OWNER, "The checklist.")
        figures = {"requests": 1000, "per_second": 50.0, "consume_p95_ms": 9.0, "passed": True, "shortfalls": []}
        with transaction() as session:
            drills.add(session, now=self.now, actor=OWNER, passed=True, milliseconds=600, report={})
            restore_test.record(session, [Step("copy", True, "Whole.")], now=self.now, actor=OWNER)
            audit.record(session, change, action=load_test.ACTION, subject=load_test.SUBJECT, after=figures)


@pytest.fixture
def guide(app: Flask) -> Iterator[Guide]:
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


def test_four_weeks_and_three_months(guide: Guide) -> None:
    guide.look()
    assert guide.gate("checklists").status is GateStatus.UNKNOWN
    assert guide.gate("soak").status is GateStatus.CLOSED
    guide.prepare()
    assert guide.step() == {EngineName.LEGACY}, "week 1: production is in shadow"
    assert guide.rollout.phase.name == "beta"
    assert guide.step() == {EngineName.LEGACY, EngineName.V2}, "week 2: the team is on v2"
    while guide.rollout.phase.name == "new-signups":
        guide.step()
    while guide.rollout.state is RolloutState.RUNNING:
        guide.step()
    assert guide.rollout.state is RolloutState.COMPLETE
    assert guide.work() == {EngineName.V2}

    names = [state.checklist.name for state in guide.checklists()]
    assert names == ["week-1", "month-1", "month-3"], "after-care begins by itself"
    guide.now += 8 * DAY
    assert [state.is_late(guide.now) for state in guide.checklists()] == [True, False, False]
    guide.look()
    month_3 = guide.checklists()[2]
    assert month_3.items[0].status is ItemStatus.FAILING, "legacy may not go yet"
    guide.now += 85 * DAY
    guide.work(340)
    guide.look()
    assert guide.checklists()[2].items[0].status is ItemStatus.TICKED
    guide.sign_all()
    assert not any(state.is_late(guide.now) for state in guide.checklists())
    with read_only() as session:
        assert audit.verify(session).intact


def test_an_emergency_in_the_middle_leaves_the_second_flag_alone(guide: Guide) -> None:
    guide.look()
    guide.prepare()
    guide.step()
    guide.step()
    with transaction() as session:
        plan = TEMPLATES["percentage-ramp"].make(guide.now)
        rollouts.plan(session, "SEARCH_V2", plan, ChangeContext(guide.now, OWNER, "The next one."))
        emergency = ChangeContext(guide.now, "olga", "Customers see wrong balances.")
        assert isinstance(rollouts.roll_back(session, FLAG, emergency), Transition)
        assert rollouts.find(session, "SEARCH_V2").state is RolloutState.RUNNING
    assert guide.work() == {EngineName.LEGACY}
    assert isinstance(guide.advance(), Refusal)

    guide.now += DAY
    guide.look()
    with transaction() as session:
        again = ChangeContext(guide.now, OWNER, "The cause is mended.")
        decision = rollouts.rearm(session, FLAG, again, expected_version=guide.rollout.version)
    assert isinstance(decision, Transition), decision
    assert guide.rollout.phase.name == "development"
    guide.look()
    first, second = guide.checklists()
    assert first.of(ItemStatus.OPEN) == (), "what was signed once for all attempts stays signed"
    assert len(second.of(ItemStatus.OPEN)) == 4, "the validation of a phase is asked for again"
