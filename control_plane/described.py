"""What the routes of rollouts and of health take and answer, for the description of the API."""

from typing import Any

from flask import Flask
from pydantic import BaseModel

from control_plane.platform import openapi
from control_plane.platform.openapi import Documentation


class RolloutSummary(BaseModel):
    """Where a rollout stands."""

    flag: str
    version: int
    attempt: int
    state: str
    phase: str
    percentage: int
    entered_at: str
    state_reason: str | None


class RolloutsListed(BaseModel):
    """Every rollout."""

    rollouts: list[RolloutSummary]


class RolloutGate(BaseModel):
    """One gate before the next step, and why it stands so."""

    name: str
    status: str
    reason: str
    evidence: dict[str, Any]


class RolloutShown(RolloutSummary):
    """A rollout with its plan and its gates."""

    position: dict[str, int]
    plan: dict[str, Any]
    gates: list[RolloutGate]


class AuditedChange(BaseModel):
    """An entry of the audit trail."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    reason: str | None
    hash: str


class AuditedChanges(BaseModel):
    """The latest changes, the newest first."""

    entries: list[AuditedChange]


class Alive(BaseModel):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """Whether traffic should come here: every check by name."""

    status: str
    checks: dict[str, str]


MOVED = Documentation(body_is_optional=True, answers={200: RolloutSummary})
ROUTES = {
    "rollouts.index": Documentation(answers={200: RolloutsListed}),
    "rollouts.show": Documentation(answers={200: RolloutShown}),
    "rollouts.history": Documentation(answers={200: AuditedChanges}),
    **{f"rollouts.{name}": MOVED for name in ("advance", "step_back", "hold", "resume", "roll_back", "rearm")},
    "health.alive": Documentation(answers={200: Alive}),
    "health.ready": Documentation(answers={200: Ready, 503: Ready}),
    "health.metrics": Documentation(answers={200: "text/plain"}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
