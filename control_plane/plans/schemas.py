"""What the routes of plans answer, for the description in OpenAPI."""

from flask import Flask
from pydantic import BaseModel

from control_plane.platform.http import openapi
from control_plane.platform.http.openapi import Documentation, FreeFormObject
from control_plane.rollouts.schemas import RolloutWithPlan


class PlanVersionSummary(BaseModel):
    """Who made a plan, when and why."""

    number: int
    at: str
    actor: str
    reason: str


class PlanVersionDetail(PlanVersionSummary):
    """A plan as it was."""

    plan: dict[str, object]


class PlanVersionList(BaseModel):
    """Every plan of a rollout, the newest first."""

    versions: list[PlanVersionSummary]


class PlanAnswer(BaseModel):
    """The plan of a rollout."""

    flag: str
    version: int
    plan_version: int
    plan: dict[str, object]


class PlanChange(BaseModel):
    """Who gains and who loses in one environment."""

    environment: str
    gains: list[str]
    losses: list[str]
    users_gaining: int
    users_losing: int


class PlanPreviewAnswer(BaseModel):
    """What a plan would change at once, and at its last step against that of today's plan."""

    flag: str
    exists: bool
    stands_at: dict[str, object]
    now: list[PlanChange]
    complete: list[PlanChange]
    diff: list[str]
    refusals: list[dict[str, str]]


class PlanTemplate(BaseModel):
    """A plan to begin with."""

    name: str
    description: str
    plan: dict[str, object]


class PlanTemplateList(BaseModel):
    """Every template."""

    templates: list[PlanTemplate]


ROUTES = {
    "plans.create": Documentation(answers={201: RolloutWithPlan}),
    "plans.show": Documentation(answers={200: (PlanAnswer, "application/yaml")}),
    "plans.edit": Documentation(answers={200: RolloutWithPlan}),
    "plans.preview_view": Documentation(answers={200: PlanPreviewAnswer}),
    "plans.versions": Documentation(answers={200: PlanVersionList}),
    "plans.version": Documentation(answers={200: PlanVersionDetail}),
    "plans.restore": Documentation(answers={200: RolloutWithPlan}),
    "plans.templates": Documentation(answers={200: PlanTemplateList}),
    "plans.schema": Documentation(answers={200: FreeFormObject}),
}


def init_app(app: Flask) -> None:
    """Describe the routes once they are mounted."""
    openapi.describe(app, ROUTES)
