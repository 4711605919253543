"""A usage log taken through the whole rollout on its own clock.

Each operation goes through the use case, the transactions and the guard's tick that live traffic goes through. The
tick comes before the operation: what the last one showed is judged before the next one is routed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter

from sqlalchemy.orm import Session

from alerts.guarding import guard
from control_plane import rollouts
from control_plane.gates import GateResult, GateStatus, soak_gate
from control_plane.phases import FLAG, Plan, Rollout, RolloutState, guide_plan
from control_plane.platform import announce, signals
from control_plane.platform.database import reading, transaction
from control_plane.platform.signals import Observation
from control_plane.transitions import Action, Transition
from credits_engine.consumption import Engines, Operation, consume
from credits_engine.evidence import observations
from credits_engine.journal import reconcile
from credits_engine.receipts import Receipt
from credits_engine.routing import evaluate_flag
from dashboards.rehearsal import store
from dashboards.rehearsal.faults import SLOW_NANOSECONDS, FaultyV2
from dashboards.rehearsal.report import PhaseReport, Report, RollbackReport
from dashboards.rehearsal.usage_log import UsageRow
from flags import store as directory
from flags.store import UserAttributes

OWNER = "rehearsal"
TERM = 1
NEWCOMERS_AFTER = timedelta(days=14)
"""The guide opens to new signups in its third week; whoever signs up after that instant is new."""
PATIENCE = 2
"""How many soak times a phase that is too small to prove anything is given before it is approved by hand."""
GATES_EVERY = timedelta(hours=1)
KNOWN_USERS_MAX = 200_000
STATEMENT_SLOW = "database_query_slow"

Progress = Callable[[int], None]


@dataclass(slots=True)
class _Fault:
    """Where the ordered fault began, in each of the counts a rollback is measured by."""

    operation: int
    v2_served: int


class Replay:
    """One rehearsal on the current application, whose database must be fresh."""

    def __init__(self, v2: FaultyV2) -> None:
        self._v2 = v2
        self._engines = Engines(v2=v2.decide)
        self._known_users: set[str] = set()
        self._fault: _Fault | None = None
        self._look_at_gates_at = datetime.min.replace(tzinfo=UTC)
        self.report = Report()

    def prepare(self, begins_at: datetime, beta: Iterable[str]) -> None:
        """Plan the guide's rollout as of the log's first instant, with these users on the beta allowlist."""
        plan = guide_plan(begins_at + NEWCOMERS_AFTER)
        members = [UserAttributes(user_id, "free", None, beta=True) for user_id in beta]
        with transaction() as session:
            rollouts.plan(session, FLAG, plan, now=begins_at, actor=OWNER, reason="A rehearsal of the guide.")
            directory.upsert_users(session, members, now=begins_at)
            announce.publish(session, "directory", "beta", now=begins_at)
        self._enter(plan, 0, begins_at)

    def run(self, rows: Iterable[UsageRow], *, beta: frozenset[str], progress: Progress) -> Report:
        """Take every row through the rollout, then reconcile the books."""
        started = perf_counter()
        now = None
        for row in rows:
            now = row.occurred_at
            self._tick(now)
            self._consume(row, beta)
            progress(1)
        if now is not None:
            self._finish(now + timedelta(seconds=1))
        self.report.seconds = perf_counter() - started
        return self.report

    def _tick(self, now: datetime) -> None:
        for transition in guard(now, TERM):
            self._note(transition)
        if now >= self._look_at_gates_at:
            self._look_at_gates_at = now + GATES_EVERY
            with transaction() as session:
                rollout = rollouts.find(session, FLAG)
                if rollout.state is RolloutState.RUNNING and soak_gate(rollout, now).status is GateStatus.OPEN:
                    self._try_advance(session, rollout, now)

    def _try_advance(self, session: Session, rollout: Rollout, now: datetime) -> None:
        approval = _approval(rollout, rollouts.gates(session, rollout, now), now)
        decision = rollouts.advance(
            session, FLAG, now=now, actor=OWNER, expected_version=rollout.version, approval=approval
        )
        if not isinstance(decision, Transition):
            return
        if approval:
            self.report.phases[-1].approved.append(approval)
        if decision.after.position.phase != rollout.position.phase:
            self._enter(decision.after.plan, decision.after.position.phase, now)

    def _consume(self, row: UsageRow, beta: frozenset[str]) -> None:
        number = self.report.operations + 1
        faulty = self._v2.proceed(number, [phase.name for phase in self.report.phases])
        if faulty and self._fault is None:
            self._fault = _Fault(number, self.report.served["v2"])
        operation = Operation(row.user_id, row.operation_id, row.amounts, actor=OWNER)
        before = self._v2.delay_nanoseconds
        with transaction() as session:
            if row.user_id not in self._known_users:
                self._introduce(session, row, beta)
            evaluate = evaluate_flag(session, row.occurred_at)
            receipt = consume(
                session,
                operation,
                now=row.occurred_at,
                evaluate=evaluate,
                engines=self._engines,
                timer=self._v2.timer,
            )
        slow = self._v2.delay_nanoseconds - before >= SLOW_NANOSECONDS
        signals.record(*observations(receipt), Observation(STATEMENT_SLOW, slow, engine="v2"))
        self._count(receipt)

    def _introduce(self, session: Session, row: UsageRow, beta: frozenset[str]) -> None:
        if len(self._known_users) >= KNOWN_USERS_MAX:
            self._known_users.clear()  # bounded memory: being introduced twice changes nothing
        self._known_users.add(row.user_id)
        attributes = UserAttributes(row.user_id, row.plan, row.signed_up_at, beta=row.user_id in beta)
        directory.upsert_users(session, [attributes], now=row.occurred_at)

    def _count(self, receipt: Receipt) -> None:
        report, engine = self.report, receipt.served.engine.value
        report.operations += 1
        report.served[engine] += 1
        report.outcomes[receipt.outcome.value] += 1
        report.variance[receipt.comparison.variance.value] += 1
        report.phases[-1].operations += 1
        if report.rollbacks and engine == "v2":
            report.rollbacks[-1].v2_served_after_breach += 1

    def _note(self, transition: Transition) -> None:
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
        with reading() as session:
            rollout = rollouts.find(session, FLAG)
            self.report.final_state = rollout.state.value
            self.report.holds_left_to_people = int(rollout.state is RolloutState.HELD)
            self.report.users = store.users(session)
            ends = [phase.entered_at for phase in self.report.phases[1:]] + [now]
            for phase, end in zip(self.report.phases, ends, strict=True):
                phase.exposed_users = store.exposed_users(session, phase.entered_at, end)
            found = reconcile(session)
        self.report.checked, self.report.differences = found.checked, len(found.differences)


def _approval(rollout: Rollout, gates: list[GateResult], now: datetime) -> str:
    """Why the owner would let a phase pass that has too few users to prove anything; empty while they would wait."""
    unknown = [gate for gate in gates if gate.status is GateStatus.UNKNOWN]
    patient = now - rollout.entered_at >= PATIENCE * rollout.phase.soak
    if patient and [gate.name for gate in unknown] == ["served"]:
        return f"Too few users to prove more: {unknown[0].reason}"
    return ""
