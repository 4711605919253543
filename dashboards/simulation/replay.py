"""A usage log taken through the whole rollout on its own clock.

Each operation goes through the use case, the transactions and the guard's tick that live traffic goes through. The
tick comes before the operation: what the last one showed is judged before the next one is routed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter

from alerts.guard_job import run_guard
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Plan, RolloutState
from control_plane.core.transitions import Action, Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from credits_engine.engines.receipts import Receipt
from credits_engine.migration import advance_check_job
from credits_engine.reconciliation.journal import reconcile
from credits_engine.store import guard_queries
from dashboards.simulation.auto_owner import DEFAULT, AutoOwner, may_advance, try_advance
from dashboards.simulation.fault_injection import FaultInjectingEngine
from dashboards.simulation.report import PhaseReport, Report, RollbackReport
from dashboards.simulation.simulator import ACTOR, Simulator
from dashboards.simulation.usage_log import UsageRow
from flags.store import UserAttributes, count_users, upsert_users

TERM = 1
NEWCOMERS_AFTER = timedelta(days=14)
"""The guide opens to new signups in its third week; whoever signs up after that instant is new."""
GATES_EVERY = timedelta(hours=6)
"""How often the owner looks whether the gates are open."""
OPERATIONS_EXAMINED = 200
"""The operations judged again before a step; all of them are reconciled at the end."""

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Fault:
    """The beginning of the fault, in each count by which a rollback is measured."""

    operation: int
    v2_served: int


class Replay:
    """One rehearsal on the current application, whose database must be fresh."""

    def __init__(self, v2: FaultInjectingEngine, *, beta: Iterable[str], owner: AutoOwner = DEFAULT) -> None:
        self._v2, self._owner = v2, owner
        self._beta = frozenset(beta)
        self._stage = Simulator(v2, beta=self._beta)
        self._fault: _Fault | None = None
        self._next_gates_at = datetime.min.replace(tzinfo=UTC)
        self.report = Report()

    def prepare(self, begins_at: datetime) -> None:
        """Plan the guide's rollout as of the log's first instant, with the beta allowlist in place."""
        plan = default_plan(begins_at + NEWCOMERS_AFTER)
        members = [UserAttributes(user_id, "free", None, beta=True) for user_id in sorted(self._beta)]
        with transaction() as session:
            rollouts.plan(session, FLAG, plan, ChangeContext(begins_at, ACTOR, "A replay of the guide."))
            upsert_users(session, members, now=begins_at)
            change_feed.publish(session, "directory", "beta", now=begins_at)
        self._enter(plan, 0, begins_at)

    def run(self, rows: Iterable[UsageRow], progress: Progress) -> Report:
        """Take every row through the rollout, then reconcile the books."""
        started = perf_counter()
        now = None
        for row in rows:
            now = row.occurred_at
            self._tick(now)
            self._proceed()
            self._count(self._stage.perform(row, now))
            progress(1)
        if now is not None:
            self._finish(now + timedelta(seconds=1))
        self.report.seconds = perf_counter() - started
        return self.report

    def _tick(self, now: datetime) -> None:
        for transition in run_guard(now, TERM):
            self._record(transition)
        if now < self._next_gates_at:
            return
        self._next_gates_at = now + GATES_EVERY
        with read_only() as session:
            if not may_advance(session, now, self._owner):
                return
        advance_check_job.refresh(now, operations=OPERATIONS_EXAMINED, rest=lambda: None)
        with transaction() as session:
            advanced = try_advance(session, now, self._owner)
        if advanced is None:
            return
        transition, approval = advanced
        if approval:
            self.report.phases[-1].approved.append(approval)
        if transition.after.position.phase != transition.before.position.phase:
            self._enter(transition.after.plan, transition.after.position.phase, now)

    def _proceed(self) -> None:
        number = self.report.operations + 1
        faulty = self._v2.proceed(number, [phase.name for phase in self.report.phases])
        if faulty and self._fault is None:
            self._fault = _Fault(number, self.report.served["v2"])

    def _count(self, receipt: Receipt) -> None:
        report, engine = self.report, receipt.served.engine.value
        report.operations += 1
        report.served[engine] += 1
        report.outcomes[receipt.outcome.value] += 1
        report.variance[receipt.comparison.variance.value] += 1
        report.phases[-1].operations += 1
        if report.rollbacks and engine == "v2":
            report.rollbacks[-1].v2_served_after_breach += 1

    def _record(self, transition: Transition) -> None:
        if transition.action is Action.HOLD:
            self.report.holds += 1
        if transition.action is not Action.ROLL_BACK:
            return
        fault = self._fault
        operations = self.report.operations - fault.operation + 1 if fault else None
        self.report.rollbacks.append(
            RollbackReport(
                at_operation=self.report.operations,
                after_fault_operations=operations,
                # v2 decides every operation, serving or shadowing.
                after_fault_v2_decisions=operations,
                after_fault_v2_served=self.report.served["v2"] - fault.v2_served if fault else None,
                alert=transition.reason.partition(":")[0],
                reason=transition.reason,
            )
        )

    def _enter(self, plan: Plan, phase: int, now: datetime) -> None:
        self.report.phases.append(PhaseReport(plan.phases[phase].name, now))

    def _finish(self, now: datetime) -> None:
        self._tick(now)
        with read_only() as session:
            rollout = rollouts.find(session, FLAG)
            self.report.final_state = rollout.state.value
            self.report.holds_left_to_people = int(rollout.state is RolloutState.HELD)
            self.report.users = count_users(session)
            ends = [phase.entered_at for phase in self.report.phases[1:]] + [now]
            for phase, end in zip(self.report.phases, ends, strict=True):
                phase.exposed_users = guard_queries.count_users_served_by_v2(session, phase.entered_at, end)
            found = reconcile(session)
        self.report.checked, self.report.differences = found.checked, len(found.differences)
