"""The screen of a rollout's approvals: of the next step, and of a change of the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.core.approval_gate import Approval, ApprovalSubject
from control_plane.core.gates import GateResult
from control_plane.core.phases import Rollout
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals
from dashboards import summaries
from dashboards.problem_sentences import problem_sentence


@dataclass(frozen=True, slots=True)
class SubjectView:
    """What can be approved, who approves it, and what that is good for."""

    subject: ApprovalSubject
    gate: GateResult
    given: Sequence[Approval]
    objection: str
    """Why the reader can't approve it, as a sentence; empty where they can."""


@dataclass(frozen=True, slots=True)
class ApprovalsScreen:
    """Everything that the page shows, as of `now`."""

    now: datetime
    rollout: Rollout
    subjects: Sequence[SubjectView]

    @property
    def advance_label(self) -> str:
        return summaries.advance_label(self.rollout)


def read(session: Session, flag: str, now: datetime, *, actor: str, role: str) -> ApprovalsScreen:
    """Return the screen of `flag` for `actor` in a role of the plan's words; raises UnknownRolloutError."""
    rollout = rollouts.find(session, flag)

    def view(subject: ApprovalSubject) -> SubjectView | None:
        wanted = approvals.needed(rollout, subject)
        if wanted is None:
            return None
        gate = approvals.gate(session, rollout, wanted, "", now, subject=subject)
        given = approvals.given(session, rollout, subject)
        try:
            approvals.check_approver(session, rollout, actor, now, role=role, subject=subject)
        except Problem as problem:
            return SubjectView(subject, gate, given, problem_sentence(problem))
        return SubjectView(subject, gate, given, "")

    return ApprovalsScreen(now, rollout, [found for subject in ApprovalSubject if (found := view(subject))])
