"""The guide's rollout as its owner runs it, on a clock of its own."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.drill import store as drills
from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import check_job, progress, signatures
from control_plane.checklists.signatures import ItemAddress
from control_plane.core.checklist import ChecklistState, ItemStatus
from control_plane.core.gates import GateResult
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Refusal, Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.decisions import EngineName
from credits_engine.load_test import runner as load_test
from credits_engine.migration import advance_check_job, restore_test
from credits_engine.migration.restore_test import Step
from credits_engine.operations import account_books
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from credits_engine.reconciliation import scheduled
from credits_engine.store import accounts

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

    def climb(self, phase: str) -> None:
        """Go up step by step until this phase is reached."""
        while self.rollout.phase.name != phase:
            self.step()

    def complete(self) -> None:
        """Go up to the end of the plan."""
        while self.rollout.state is RolloutState.RUNNING:
            self.step()

    def rearm(self, flag: str = FLAG) -> None:
        """Begin the next attempt once the cool-down allows it."""
        self.now += DAY
        self.look()
        with transaction() as session:
            version = rollouts.find(session, flag).version
            decision = rollouts.rearm(session, flag, self.change("The cause is mended."), expected_version=version)
        assert isinstance(decision, Transition), decision

    def hold_for(self, span: timedelta) -> None:
        """Hold the rollout, and resume it after this time."""
        with transaction() as session:
            assert isinstance(rollouts.hold(session, FLAG, self.change("Support asked.")), Transition)
        self.now += span
        with transaction() as session:
            assert isinstance(rollouts.resume(session, FLAG, self.change("It was a question.")), Transition)

    def change(self, reason: str) -> ChangeContext:
        """Return a change that the owner makes now."""
        return ChangeContext(self.now, OWNER, reason)

    def used(self) -> dict[str, Amounts]:
        """Return what each user has used by v2's book."""
        used = {}
        with read_only() as session:
            for user in USERS:
                found = accounts.find(session, user)
                assert found is not None
                used[user] = account_books.read_books(session, found[0], self.now).v2.used
        return used

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
