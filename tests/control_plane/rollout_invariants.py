"""A flag of its own whose every change is held against what must always be so."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import combinations, count

from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.exposure_changes import cohorts_between
from control_plane.change_context import ChangeContext
from control_plane.core import rollbacks
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.gates import GateStatus
from control_plane.core.phases import PRE_PRODUCTION, Rollout, RolloutState, environments_of, exposure, positions
from control_plane.core.rollbacks import cool_down_ends
from control_plane.core.transitions import Decision, Transition
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals, store
from tests.control_plane.plans_at_random import START

NUMBERS = count(1)
LATELY = timedelta(days=7)
"""For how long those who gave access count; the setting of the model's workers."""
EXPOSING = ("advance", "schedule", "rearm")
PEOPLE = st.sampled_from(("alice", "bob", "carol"))
Act = Callable[[Session, Rollout, ChangeContext], Decision | None]


class RolloutInvariants(RuleBasedStateMachine):
    """Two workers that act on one flag, and a clock that only goes on."""

    workers: tuple[Flask, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.flag, self.now = f"F{next(NUMBERS)}", START
        self.status = GateStatus.OPEN
        self.worker = 0
        self.approved: dict[str, datetime] = {}
        self.approved_before: dict[str, datetime] = {}
        self.approved_plan: dict[str, datetime] = {}
        self.author, self.planned_at = "", START
        self.gave_access: list[tuple[datetime, str, str]] = []
        self.stored: list[Rollout] = []

    @invariant()
    def a_rollback_is_one_step_away(self) -> None:
        with self._session() as session:
            found = store.load(session, self.flag)
        if found and not found.latched:
            for in_all in (False, True):
                decision = rollbacks.decide_rollback(found, now=self.now, reason="Now.", in_all=in_all)
                assert isinstance(decision, Transition)
                assert decision.after.latches_all is in_all
                self._is_latched(decision.after)
                self._is_left_alone(found, decision.after)

    def _do(self, action: str, who: str, act: Act) -> tuple[Rollout, Rollout]:
        with self._session() as session:
            before = rollouts.find(session, self.flag)
            self.stored.append(before)
            act(session, before, ChangeContext(self.now, who, "Because.", {} if who == "guard" else None))
            after = rollouts.find(session, self.flag)
        self._compare(action, before, after)
        if (after.plan_version, after.entered_at) != (before.plan_version, before.entered_at):
            self.approved_before, self.approved, self.approved_plan = self.approved, {}, {}
        else:
            self.approved_before = self.approved
        if after.latched and after.state_changed_at != before.state_changed_at:
            self.approved_plan = {}  # what was approved before a rollback was approved of something else
        return before, after

    def _compare(self, action: str, before: Rollout, after: Rollout) -> None:
        assert after.version - before.version == (after != before)
        if action not in EXPOSING:
            assert self._gained(before, after) == []
        if before.latched and not after.latched:
            assert action == "rearm"
            assert self.now >= cool_down_ends(before)
            assert not before.archived
        if after.latched:
            assert not (before.latched and before.latches_all) or after.latches_all
            self._is_latched(after)
        if action == "roll_back":
            self._is_left_alone(before, after)
        if action in ("archive", "restore_backup") and after != before:
            assert after.latches_all
        assert (after.state is RolloutState.COMPLETE) <= (after.completed_at is not None)
        if after.completed_at is not None:
            assert after.position == positions(after.plan)[-1]
            assert after.completed_at == (before.completed_at or self.now)

    def _is_latched(self, after: Rollout) -> None:
        """Assert that the flag is off everywhere, but in development and staging if the rollback spares them."""
        on = {each for each in environments_of(after.plan) if not exposure(after, each).empty}
        assert on <= (set() if after.latches_all else set(PRE_PRODUCTION))

    def _is_left_alone(self, before: Rollout, after: Rollout) -> None:
        if not after.latches_all:
            assert all(exposure(after, each) == exposure(before, each) for each in PRE_PRODUCTION)

    def _gained(self, before: Rollout, after: Rollout) -> list[str]:
        return [
            cohort.gained
            for environment in environments_of(before.plan, after.plan)
            for cohort in cohorts_between(
                exposure(before, environment),
                exposure(after, environment),
                cutover_of_smaller=before.plan.new_signups_after,
                cutover_of_larger=after.plan.new_signups_after,
            )
        ]

    def _gates_were_open(self, before: Rollout, who: str, approval: str) -> None:
        phase = before.phase
        assert before.state is RolloutState.RUNNING
        assert self.now - before.entered_at >= phase.soak
        assert self.status is GateStatus.OPEN or (
            self.status is GateStatus.UNKNOWN and approval and phase.unknown_may_be_approved
        )
        if phase.gates.calendar:
            assert phase.gates.calendar.objection(self.now) is None
        if phase.gates.approvals:
            assert self._independent(before, who, self.approved_before) >= phase.gates.approvals.quorum

    def _may_be_deleted(self, before: Rollout, who: str) -> None:
        assert before.archived
        quorums = [phase.gates.approvals.quorum for phase in before.plan.phases if phase.gates.approvals]
        assert self._independent(before, who, self.approved_plan) >= max(quorums, default=0)

    def _may_be_planned_anew(self, deleted: Rollout, made: Rollout) -> None:
        assert self.now >= cool_down_ends(deleted)
        calendar = made.plan.phases[0].gates.calendar
        assert calendar is None or calendar.objection(self.now) is None
        assert (made.version, made.attempt) > (deleted.version, deleted.attempt)
        assert made.position == positions(made.plan)[0]

    def _approve(self, who: str, subject: ApprovalSubject = ApprovalSubject.STEP) -> None:
        with self._session() as session:
            found = rollouts.find(session, self.flag)
            change = ChangeContext(self.now, who, "Read it.")
            try:
                approvals.approve(session, found, change, role="owner", expected_version=found.version, subject=subject)
            except Problem:
                return
        approved = self.approved if subject is ApprovalSubject.STEP else self.approved_plan
        approved.setdefault(who, self.now)

    def _renew_password(self, giver: str, account: str) -> None:
        with self._session() as session:
            change = ChangeContext(self.now, giver, "Forgotten.")
            audit.record(session, change, action="person.change_password", subject=f"person:{account}")
        self.gave_access.append((self.now, giver, account))

    def _independent(self, before: Rollout, who: str, approved: Mapping[str, datetime]) -> int:
        """Return how many approved of whom nobody can act for another, for the planner or for who asks."""
        taken = [self._in_control(self.author, self.planned_at), self._in_control(who, self.now, before.entered_at)]
        reached = [self._in_control(name, at, before.entered_at) for name, at in approved.items()]
        apart = [each for each in reached if all(each.isdisjoint(other) for other in taken)]
        return max(
            size
            for size in range(len(apart) + 1)
            for chosen in combinations(apart, size)
            if len(set[str]().union(*chosen)) == sum(map(len, chosen))
        )

    def _in_control(self, name: str, at: datetime, since: datetime | None = None) -> set[str]:
        """Return everybody who may act under a name: itself, and who gave access to it or to any of those."""
        begun, found = min(at - LATELY, since or at), {name}
        while more := {
            giver
            for given_at, giver, account in self.gave_access
            if begun <= given_at <= at and account in found and giver not in found
        }:
            found |= more
        return found

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self.workers[self.worker].app_context(), transaction() as session:
            yield session
