"""The bodies that create, edit, preview and restore plans."""

from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from control_plane.core.phases import Plan
from control_plane.plans import administration, document
from control_plane.plans.document import InvalidPlan
from control_plane.plans.templates import TEMPLATES, for_environment
from control_plane.platform.problems import Problem
from control_plane.rollout_names import environment_of


class PlanRequest(BaseModel):
    """A plan, or the name of a template to make one from."""

    model_config = ConfigDict(extra="forbid")

    plan: dict[str, object] | None = None
    template: str | None = Field(default=None, max_length=100)
    newSignupsAfter: AwareDatetime | None = None  # noqa: N815 - the JSON name

    def chosen(self, session: Session, name: str, now: datetime) -> tuple[str, Plan]:
        """Return the name of the rollout and its plan. Raises Problem where it can't be one."""
        if (self.plan is None) == (self.template is None):
            raise Problem(422, "PLAN_REQUIRED", "Send `plan`, or the name of a `template`; one of them.")
        if self.template is not None:
            return name, from_template(self.template, self.newSignupsAfter or now, environment_of(name))
        return read_plan(session, name, self.plan)


class ChangeRequest(BaseModel):
    """Why, which version the caller saw, and whether users may lose the flag by it."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(default="", max_length=2000)
    expectedVersion: int = Field(default=0, ge=0, strict=True)  # noqa: N815 - the JSON name
    confirmLosing: bool = Field(default=False, strict=True)  # noqa: N815 - the JSON name


class CreateRequest(PlanRequest):
    """A flag and its rollout."""

    flag: str = Field(max_length=200)
    environment: str | None = Field(default=None, max_length=100)
    """For a rollout of this environment alone."""
    reason: str = Field(default="", max_length=2000)
    confirmLosing: bool = Field(default=False, strict=True)  # noqa: N815 - the JSON name


class EditRequest(ChangeRequest):
    """The whole plan as it should be."""

    plan: dict[str, object]


class PreviewRequest(PlanRequest):
    """The plan to compare with today's."""


def read_plan(session: Session, name: str, value: object) -> tuple[str, Plan]:
    """Return the rollout that is meant and the plan in a body. Raises Problem with every mistake."""
    try:
        return administration.read_value(session, name, value)
    except InvalidPlan as invalid:
        errors = [{"field": each.place, "message": each.sentence} for each in invalid.mistakes]
        raise Problem(422, "INVALID_PLAN", f"The plan can't be used. {invalid}"[:2000], errors=errors) from invalid


def from_template(name: str, new_signups_after: datetime, environment: str | None = None) -> Plan:
    """Return a copy of a template, as it is for one environment. Raises Problem where there is none of that name."""
    if name not in TEMPLATES:
        raise Problem(422, "UNKNOWN_TEMPLATE", f"There is no template {name[:50]!r}; there are {', '.join(TEMPLATES)}.")
    try:
        made = TEMPLATES[name].make(new_signups_after.astimezone(UTC))
    except OverflowError as error:
        raise Problem(422, "INVALID_PLAN", "newSignupsAfter is no date that every time zone has.") from error
    return for_environment(made, environment) if environment else made


def template_documents(now: datetime) -> list[Mapping[str, object]]:
    """Return every template with its sentence and the plan that it makes now."""
    return [
        {"name": name, "description": template.description, "plan": document.to_value(template.make(now))}
        for name, template in TEMPLATES.items()
    ]
