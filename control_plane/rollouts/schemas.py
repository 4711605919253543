"""OpenAPI models of the routes of rollouts."""

from flask import Flask
from pydantic import BaseModel

from control_plane.audit.schemas import AuditEntryList
from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation


class RolloutSummary(BaseModel):
    """A rollout in short."""

    flag: str
    environment: str | None = None
    """The one environment that it decides; absent where it decides all."""
    version: int
    attempt: int
    state: str
    latch: str | None
    phase: str
    percentage: int
    entered_at: str
    state_reason: str | None


class ListedRollout(RolloutSummary):
    """A rollout with how far it has come, and what people call it by."""

    stage: str
    description: str
    owner: str
    tags: list[str]
    type: str
    archived_at: str | None
    completed_at: str | None
    """Since when everybody has the flag, also while a hold is on; null while the rollout is not complete."""


class RolloutList(BaseModel):
    """A page of rollouts; `next` is the cursor of the page after it."""

    rollouts: list[ListedRollout]
    next: str | None


class RolloutGate(BaseModel):
    """One gate before the next step, and why it stands so."""

    name: str
    status: str
    reason: str
    evidence: dict[str, object]
    opens_at: str | None


class RolloutMove(BaseModel):
    """What the plan wants next, when it could happen at the earliest, and why not now."""

    due: bool
    at: str | None
    reason: str


class PhaseDates(BaseModel):
    """When a phase was to begin, when it did in this attempt, and how many days it is or was late."""

    name: str
    planned_start: str | None
    entered_at: str | None
    days_late: int


class RolloutWithPlan(ListedRollout):
    """A rollout with its plan."""

    position: dict[str, int]
    plan_version: int
    plan: dict[str, object]


class RolloutDetail(RolloutWithPlan):
    """A rollout with its plan and its gates."""

    environment_variable: str | None
    segment_notices: list[str]
    gates: list[RolloutGate]
    next_move: RolloutMove
    phases: list[PhaseDates]


class ApprovalEntry(BaseModel):
    """An approval of the next `step`, or of a change of the `plan`."""

    of: str
    actor: str
    role: str
    reason: str
    at: str


class ApprovalList(BaseModel):
    """Every approval that holds now."""

    approvals: list[ApprovalEntry]


CHANGE_RESPONSES = Documentation(body_is_optional=True, answers={200: RolloutSummary})
ROUTES = {
    "rollouts.index": Documentation(answers={200: RolloutList}),
    "rollouts.show": Documentation(answers={200: RolloutDetail}),
    "rollouts.approve": Documentation(answers={200: ApprovalList}),
    "rollouts.withdraw_approval": Documentation(answers={200: ApprovalList}),
    "rollouts.approvals_view": Documentation(answers={200: ApprovalList}),
    **{f"rollouts.{name}": CHANGE_RESPONSES for name in ("archive_view", "revive", "delete")},
    "rollouts.history": Documentation(answers={200: AuditEntryList}),
    **{
        f"rollouts.{name}": CHANGE_RESPONSES
        for name in ("advance", "step_back", "hold", "resume", "roll_back", "rearm")
    },
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
