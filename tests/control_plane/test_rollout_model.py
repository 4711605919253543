"""A rollout under everything that may happen to it, in any order, held against what must always be so.

Never past a gate that is not open, nor by approvals of one person under several names; nobody exposed by anything but
an advance or a re-arming; a latch ends only by re-arming, after its cool-down; a rollback is possible in every state,
in one step; each change is one version.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import hypothesis
import pytest
from flask import Flask
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import AdvanceMode, OnBreach, Schedule
from control_plane.core.phases import Phase, Plan, Rollout
from control_plane.core.rollbacks import COOL_DOWN_MINIMUM
from control_plane.core.transitions import Decision, Transition
from control_plane.plans import administration
from control_plane.platform.auth import audit
from control_plane.platform.db.database import db, read_only
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS, Settings
from control_plane.rollouts import move_job, store
from tests.applications import application
from tests.control_plane.plans_at_random import HOUR, PLANS, STEPS, phases
from tests.control_plane.rollout_endings import RolloutEndings
from tests.control_plane.rollout_invariants import LATELY, PEOPLE

SUBJECTS = st.sampled_from((ApprovalSubject.STEP, ApprovalSubject.STEP, ApprovalSubject.PLAN))
EDITS = ("owner", "soak", "advance", "gates", "steps", "removed", "added")
OFTEN = st.sampled_from(("hold", "resume", "resume", "step_back", "rearm", "rearm", "revive"))


class RolloutModel(RolloutEndings):
    """One flag of its own, two workers that act on it, and a clock that only goes on."""

    @initialize(plan=PLANS, author=PEOPLE)
    def make(self, plan: Plan, author: str) -> None:
        self.author, self.planned_at = author, self.now
        for app in self.workers:
            with app.app_context():
                rollouts.ADVANCE_GATES.set(app, {"fake": self._gate})
                rollouts.REARM_GATES.set(app, {})
        with self._session() as session:
            change = ChangeContext(self.now, author, "Planned.")
            assert isinstance(rollouts.plan(session, self.flag, plan, change, confirm_losing=True), Transition)

    def _gate(self, *_: object) -> GateResult:
        return GateResult("fake", self.status, "As the model says.")

    @rule(hours=st.sampled_from((0.1, 0.2, 1, 5, 24, 100)))
    def time_goes_on(self, hours: float) -> None:
        self.now += HOUR * hours

    @rule(status=st.sampled_from((*[GateStatus.OPEN] * 4, *GateStatus)))
    def gate_changes(self, status: GateStatus) -> None:
        self.status = status

    @rule()
    def restart(self) -> None:
        """Let the other worker go on, with new connections."""
        self.worker = 1 - self.worker
        with self.workers[self.worker].app_context():
            db.engine.dispose()

    @rule(who=PEOPLE, approval=st.sampled_from(("", "Sure.")), behind=st.sampled_from((0, 0, 0, 1)))
    def advance(self, who: str, approval: str, behind: int) -> None:
        def act(session: Session, before: Rollout, change: ChangeContext) -> Decision:
            version = before.version - behind
            return rollouts.advance(
                session, self.flag, change, expected_version=version, approval=approval, confirm_losing=True
            )

        before, after = self._do("advance", who, act)
        if after != before:
            assert not behind
            self._gates_were_open(before, who, approval)

    @rule(people=st.lists(PEOPLE, min_size=2, max_size=5))
    def climb(self, people: list[str]) -> None:
        for who in people:
            self.now += HOUR * 2
            self.advance(who=who, approval="Sure.", behind=0)

    @rule()
    def schedule_looks(self) -> None:
        def act(session: Session, _before: Rollout, change: ChangeContext) -> Decision | None:
            return move_job.move(session, self.flag, change.now)

        before, after = self._do("schedule", move_job.ACTOR, act)
        if after != before:
            self._gates_were_open(before, move_job.ACTOR, "Sure." if self.approved_before else "")
            advance = before.phase.advance
            assert advance is not AdvanceMode.BY_HAND
            if isinstance(advance, Schedule):
                assert any(before.entered_at < each <= self.now for each in advance.instants())

    @rule(people=st.sampled_from((("alice",), ("bob",), *[("alice", "bob", "carol")] * 2)), subject=SUBJECTS)
    def approve(self, people: tuple[str, ...], subject: ApprovalSubject) -> None:
        """Approve the step, or that the plan asks for fewer approvals, which is no approval of a step."""
        for who in people:
            self._approve(who, subject)

    @rule(people=st.permutations(("alice", "bob", "carol")), approving=st.integers(1, 3), presses=st.integers(1, 2))
    def approve_and_press(self, people: list[str], approving: int, presses: int) -> None:
        """Approve and advance once or twice: an approval is for one step, and nobody's own."""
        for who in people[:approving]:
            self._approve(who)
        for _ in range(presses):
            self.now += HOUR * 2
            self.advance(who=people[0], approval="Sure.", behind=0)

    @rule(people=st.permutations(("alice", "bob", "carol")), presses=st.booleans())
    def approve_through(self, people: list[str], presses: bool) -> None:
        """Renew the password of another's account, approve by it, and press oneself or let somebody else."""
        giver, account, other = people
        self._renew_password(giver, account)
        self._approve(account)
        self.now += HOUR * 2
        self.advance(who=giver if presses else other, approval="Sure.", behind=0)

    @rule(who=PEOPLE, action=OFTEN)
    def person_acts(self, who: str, action: str) -> None:
        self._act(who, action)

    @rule(action=st.sampled_from(("hold", "resume")))
    def guard_holds(self, action: str) -> None:
        def act(session: Session, _before: Rollout, change: ChangeContext) -> Decision:
            use_case = {"hold": rollouts.hold, "resume": rollouts.resume}[action]
            return use_case(session, self.flag, change)

        self._do(action, "guard", act)

    @rule(is_candidates=st.sampled_from((True, True, True, False)), again_after=st.sampled_from((None, 0.1, 0.4, 2)))
    def candidate_fails(self, is_candidates: bool, again_after: float | None) -> None:
        """Fail the candidate if the guard may step back; seldom if it may not, as that ends the attempt."""
        with self._session() as session:
            steps_back = rollouts.find(session, self.flag).phase.on_breach is OnBreach.STEP_BACK
        if steps_back or again_after == 2:
            self._breach(is_candidates=is_candidates)
            if again_after:
                self.now += HOUR * again_after
                self._breach(is_candidates=is_candidates)

    def _breach(self, *, is_candidates: bool) -> None:
        def act(session: Session, before: Rollout, change: ChangeContext) -> Decision:
            attempt = before.attempt
            return rollouts.answer_breach(session, self.flag, change, attempt=attempt, is_candidates=is_candidates)

        before, after = self._do("breach", "guard", act)
        if after.attempt > before.attempt:
            assert is_candidates
            assert before.phase.on_breach is OnBreach.STEP_BACK
            pause = max(before.phase.soak, COOL_DOWN_MINIMUM)
            assert before.stepped_back_at is None or self.now - before.stepped_back_at >= pause
        elif not before.latched:
            assert after.latched

    @rule(who=PEOPLE, plan=PLANS, confirm=st.booleans())
    def edit(self, who: str, plan: Plan, confirm: bool) -> None:
        def act(session: Session, before: Rollout, change: ChangeContext) -> Decision:
            return administration.edit(
                session, self.flag, plan, change, expected_version=before.version, confirm_losing=confirm
            )

        self._edit(who, act)

    @rule(who=PEOPLE, changed=st.sampled_from(EDITS), steps=STEPS, added=phases(9), at=st.integers(0, 2))
    def edit_a_part(self, who: str, changed: str, steps: list[int], added: Phase, at: int) -> None:
        with self._session() as session:
            plan = rollouts.find(session, self.flag).plan
        at = min(at, len(plan.phases) - 1)
        phase = plan.phases[at]
        others = plan.phases[:at], plan.phases[at + 1 :]
        parts = {
            "owner": (phase,),
            "soak": (replace(phase, soak=added.soak, on_breach=added.on_breach),),
            "advance": (replace(phase, advance=added.advance),),
            "gates": (replace(phase, gates=added.gates),),
            "steps": (replace(phase, steps=tuple(steps)),),
            "removed": (),
            "added": (phase, added),
        }[changed]
        wanted = replace(plan, owner=f"{who} {self.now}", phases=(*others[0], *parts, *others[1]))
        self.edit(who=who, plan=wanted, confirm=True)

    @rule(who=PEOPLE, number=st.integers(1, 4))
    def restore(self, who: str, number: int) -> None:
        def act(session: Session, before: Rollout, change: ChangeContext) -> Decision | None:
            try:
                return administration.restore(
                    session, self.flag, number, change, expected_version=before.version, confirm_losing=True
                )
            except Problem:
                return None

        self._edit(who, act)

    def _edit(self, who: str, act: Callable[[Session, Rollout, ChangeContext], Decision | None]) -> None:
        _, after = self._do("edit", who, act)
        with self._session() as session:
            version = store.plan_version(session, self.flag, after.plan_version)
        assert version is not None
        assert version.plan == after.plan
        self.author, self.planned_at = version.actor, version.at


@pytest.fixture
def model(settings: Settings, app: Flask) -> Iterator[type[RolloutModel]]:
    """The model on a database with two workers; afterwards the audit trail is as it was written."""
    asked = replace(settings, approval_access_days=LATELY.days)
    SETTINGS.set(app, asked)
    with application(asked) as other:

        class Model(RolloutModel):
            workers = (app, other)

        yield Model
        with app.app_context(), read_only() as session:
            assert audit.verify(session).intact


def run(model: type[RolloutModel], runs: int, steps: int) -> None:
    # Not made smaller: each try is a life in a database, and the first one that fails says what it did.
    kinds = (hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate)
    unhurried = settings(
        max_examples=runs, stateful_step_count=steps, suppress_health_check=list(HealthCheck), phases=kinds
    )
    run_state_machine_as_test(model, settings=unhurried)


def test_whatever_happens_to_a_rollout_the_promises_hold(model: type[RolloutModel], dialect: str) -> None:
    run(model, runs=25 if dialect == "sqlite" else 5, steps=30)


@pytest.mark.long
def test_whatever_happens_to_a_rollout_for_long_the_promises_hold(model: type[RolloutModel]) -> None:
    run(model, runs=500, steps=60)
