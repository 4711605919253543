"""What ends a rollout, by whoever: rolled back, archived, replaced by a backup, deleted and planned anew."""

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import delete
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.phases import Plan, Rollout
from control_plane.core.transitions import Decision, Transition
from control_plane.rollouts import archive, store
from control_plane.rollouts.models import ApprovalRow, PlanApprovalRow, PlanVersionRow
from tests.control_plane.plans_at_random import HOUR, PLANS
from tests.control_plane.rollout_invariants import PEOPLE, RolloutInvariants


class RolloutEndings(RolloutInvariants):
    """The rules by which an attempt ends; seldom, or a rollout would get nowhere."""

    @rule(who=PEOPLE, action=st.sampled_from(("roll_back", "archive")), seldom=st.integers(1, 4))
    def person_ends_it(self, who: str, action: str, seldom: int) -> None:
        if seldom == 1:
            self._act(who, action)

    @rule(who=PEOPLE, seldom=st.integers(1, 4))
    def person_rolls_back_everywhere(self, who: str, seldom: int) -> None:
        """Seldom, or where a rollback left development and staging the flag."""

        def act(session: Session, _before: Rollout, change: ChangeContext) -> Decision:
            return rollouts.roll_back(session, self.flag, change, in_all=True)

        with self._session() as session:
            latched = rollouts.find(session, self.flag).latched
        if latched or seldom == 1:
            _, after = self._do("roll_back_everywhere", who, act)
            assert after.latches_all

    @rule(who=PEOPLE, back=st.integers(1, 5), seldom=st.integers(1, 3))
    def restore_a_backup(self, who: str, back: int, seldom: int) -> None:
        """Put back what was stored some changes ago; nothing that was latched since is on again."""

        def act(session: Session, before: Rollout, change: ChangeContext) -> None:
            backup = self.stored[-min(back, len(self.stored))]
            assert store.compare_and_set(session, backup, expected_version=before.version)
            later = PlanVersionRow.number > backup.plan_version
            session.execute(delete(PlanVersionRow).where(PlanVersionRow.flag == self.flag, later))
            for row in (ApprovalRow, PlanApprovalRow):
                session.execute(delete(row).where(row.flag == self.flag, row.plan_version > backup.plan_version))
            rollouts.latch_restored(session, self.flag, before, change)

        if seldom == 1:
            before, after = self._do("restore_backup", who, act)
            assert after.latched
            assert after.attempt > before.attempt
            with self._session() as session:
                version = store.plan_version(session, self.flag, after.plan_version)
            assert version
            self.author, self.planned_at = version.actor, version.at
            self.stored = [after]  # what was stored before knew other plans by the same numbers

    @rule(who=PEOPLE, approving=st.sets(PEOPLE), plan=PLANS, seldom=st.integers(1, 3))
    def end_it_and_plan_anew(self, who: str, approving: set[str], plan: Plan, seldom: int) -> None:
        """Roll back, archive, delete, and plan again as soon as that is let: a new attempt in all but name."""
        if seldom != 1:
            return
        self.person_rolls_back_everywhere(who=who, seldom=1)
        self._act(who, "archive")
        for name in sorted(approving):
            self._approve(name, ApprovalSubject.PLAN)
        with self._session() as session:
            before = rollouts.find(session, self.flag)
            change = ChangeContext(self.now, who, "Over.")
            decision = archive.delete(session, self.flag, change, expected_version=before.version)
        if isinstance(decision, Transition):
            self._may_be_deleted(before, who)
            self._plan_anew(who, plan, before)

    def _plan_anew(self, who: str, plan: Plan, deleted: Rollout) -> None:
        while True:
            with self._session() as session:
                assert store.load(session, self.flag) is None
                change = ChangeContext(self.now, who, "Again.")
                decision = rollouts.plan(session, self.flag, plan, change, confirm_losing=True)
            if isinstance(decision, Transition):
                break
            assert {reason.code for reason in decision.reasons} <= {"COOL_DOWN", "GATE_CLOSED"}
            self.now += HOUR * 4
        self._may_be_planned_anew(deleted, decision.after)
        self.author, self.planned_at, self.stored = who, self.now, []
        self.approved, self.approved_before, self.approved_plan = {}, {}, {}

    def _act(self, who: str, action: str) -> None:
        use_case: Callable[..., Decision] = getattr(archive if action in ("archive", "revive") else rollouts, action)
        versioned = action not in ("hold", "resume", "roll_back")

        def act(session: Session, before: Rollout, change: ChangeContext) -> Decision:
            options = {"expected_version": before.version} if versioned else {}
            return use_case(session, self.flag, change, **options)

        self._do(action, who, act)
