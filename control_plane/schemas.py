"""OpenAPI models of the routes of rollouts and health."""

from flask import Flask
from pydantic import BaseModel

from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation


class RolloutSummary(BaseModel):
    """A rollout in short."""

    flag: str
    version: int
    attempt: int
    state: str
    phase: str
    percentage: int
    entered_at: str
    state_reason: str | None


class RolloutList(BaseModel):
    """Every rollout."""

    rollouts: list[RolloutSummary]


class RolloutGate(BaseModel):
    """One gate before the next step, and why it stands so."""

    name: str
    status: str
    reason: str
    evidence: dict[str, object]


class RolloutDetail(RolloutSummary):
    """A rollout with its plan and its gates."""

    position: dict[str, int]
    plan: dict[str, object]
    environment_variable: str | None
    gates: list[RolloutGate]


class AuditEntry(BaseModel):
    """An entry of the audit trail."""

    id: int
    at: str
    actor: str
    action: str
    subject: str
    before: dict[str, object] | None
    after: dict[str, object] | None
    reason: str | None
    hash: str


class AuditEntryList(BaseModel):
    """The latest changes, the newest first."""

    entries: list[AuditEntry]


class Liveness(BaseModel):
    """The process answers."""

    status: str


class Readiness(BaseModel):
    """The readiness checks by name."""

    status: str
    checks: dict[str, str]


CHANGE_RESPONSES = Documentation(body_is_optional=True, answers={200: RolloutSummary})
ROUTES = {
    "rollouts.index": Documentation(answers={200: RolloutList}),
    "rollouts.show": Documentation(answers={200: RolloutDetail}),
    "rollouts.history": Documentation(answers={200: AuditEntryList}),
    **{
        f"rollouts.{name}": CHANGE_RESPONSES
        for name in ("advance", "step_back", "hold", "resume", "roll_back", "rearm")
    },
    "health.alive": Documentation(answers={200: Liveness}),
    "health.ready": Documentation(answers={200: Readiness, 503: Readiness}),
    "health.metrics": Documentation(answers={200: "text/plain"}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
