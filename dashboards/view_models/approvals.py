"""The screen of a rollout's approvals: of the next step, and of a change of the plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.core.gates import GateResult
from control_plane.core.gates.approvals import Approval
from control_plane.core.phases import Rollout
from control_plane.rollouts import approvals
from control_plane.rollouts.approvals import ApprovalSubject
from dashboards import summaries


@dataclass(frozen=True, slots=True)
class SubjectView:
    """What can be approved, who approves it, and what that is good for."""

    subject: ApprovalSubject
    gate: GateResult
    given: Sequence[Approval]


@dataclass(frozen=True, slots=True)
class ApprovalsScreen:
    """Everything that the page shows, as of `now`."""

    now: datetime
    rollout: Rollout
    subjects: Sequence[SubjectView]

    @property
    def advance_label(self) -> str:
        return summaries.advance_label(self.rollout)


def read(session: Session, flag: str, now: datetime) -> ApprovalsScreen:
    """Return the screen of `flag`; raises UnknownRolloutError."""
    rollout = rollouts.find(session, flag)
    views = (_view(session, rollout, subject, now) for subject in ApprovalSubject)
    return ApprovalsScreen(now, rollout, [view for view in views if view])


def _view(session: Session, rollout: Rollout, subject: ApprovalSubject, now: datetime) -> SubjectView | None:
    wanted = approvals.needed(rollout, subject)
    if wanted is None:
        return None
    gate = approvals.gate(session, rollout, wanted, "", now, subject=subject)
    return SubjectView(subject, gate, approvals.given(session, rollout, subject))
