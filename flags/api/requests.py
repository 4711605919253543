"""Request models of our own JSON. Unknown fields are refused: every field is ours."""

import re
from typing import Annotated, Any, Literal, TypeVar

from flask import request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

from control_plane.platform.http.instants import Instant

Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]
ENVIRONMENT = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,49}$"
Environment = Annotated[str, Field(pattern=ENVIRONMENT)]
TAG = re.compile(r"[^\s:]{1,50}:\S.{0,254}|[^\s:][^:\n]{0,254}")
"""What an import brings: the type may have capitals, and the value a colon."""
M = TypeVar("M", bound=BaseModel)

USERS_AT_ONCE = 1000


class RequestModel(BaseModel):
    """A body in camel case."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)


class OverrideRequest(RequestModel):
    """Why a user is treated by name, and until when."""

    reason: Annotated[str, Field(min_length=1, max_length=2000)]
    expires_at: Instant | None = None


class ReasonRequest(RequestModel):
    """Why something is changed."""

    reason: Reason


class FlagRequest(RequestModel):
    """A new flag, on or off for everybody in each environment."""

    name: Name
    environments: Annotated[dict[Environment, bool], Field(min_length=1, max_length=20)]
    description: Annotated[str, Field(max_length=1000)] = ""
    reason: Annotated[str, Field(max_length=2000)] = ""


def _tag(text: str) -> str:
    if not TAG.fullmatch(text):
        raise ValueError("a tag is written value or type:value, such as simple:checkout")
    return text


Objects = Annotated[list[dict[str, object]], Field(max_length=1000)]
Version = Annotated[int, Field(ge=0, le=2**31 - 1)]
Tag = Annotated[str, AfterValidator(_tag)]


class DefinitionEdit(RequestModel):
    """What to change of a flag in one environment; what is left out stays. Version 0 adds it there."""

    version: Version
    reason: Reason
    enabled: bool | None = None
    strategies: Objects | None = None
    variants: Objects | None = None
    dependencies: Objects | None = None
    confirm_moving: bool = False


class FlagEdit(RequestModel):
    """What to change of a flag everywhere; `versions` are those of all its environments."""

    versions: dict[Environment, Version]
    reason: Reason
    type: Annotated[str, Field(max_length=40)] | None = None
    project: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    description: Annotated[str, Field(max_length=1000)] | None = None
    stale: bool | None = None
    impression_data: bool | None = None
    tags: Annotated[list[Tag], Field(max_length=100)] | None = None


class RemovalRequest(RequestModel):
    """Which version is removed from an environment, and why."""

    version: Version
    reason: Reason


class SegmentEdit(RequestModel):
    """A segment as it should be; version 0 adds it."""

    version: Version
    reason: Reason
    name: Annotated[str, Field(min_length=1, max_length=100)]
    constraints: Objects


class SwitchRequest(RequestModel):
    """A flag is switched on or off."""

    enabled: bool
    reason: Reason


class RestoreRequest(RequestModel):
    """An earlier version is made the flag again: the number of the entry in the audit trail that led to it."""

    entry: Annotated[int, Field(ge=1, lt=2**63)]
    reason: Reason


class UserRequest(RequestModel):
    """New attributes of a user; a field that is left out stays as it was."""

    user_id: Annotated[str, Field(min_length=1, max_length=256)]
    plan: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    signed_up_at: Instant | None = None
    beta: bool | None = None
    billing_anchor: Instant | None = None


class UsersRequest(RequestModel):
    """Users, up to a thousand at once."""

    users: Annotated[list[UserRequest], Field(min_length=1, max_length=USERS_AT_ONCE)]


class TokenRequest(RequestModel):
    """A new token; `trustedAttributes` are those of a user for which its caller's word outweighs our directory.

    `role` and `flags` hold an admin token to less than everything, `projects` one of an SDK or a browser.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    type: Annotated[str, Field(max_length=40)]
    environment: Environment | Literal["*"] | None = None
    expires_at: Instant | None = None
    trusted_attributes: list[Name] | None = None
    role: Annotated[str, Field(max_length=40)] = ""
    flags: Annotated[list[Name], Field(max_length=100)] = []
    projects: Annotated[list[Name], Field(max_length=100)] = []


class ImportRequest(RequestModel):
    """Features and segments as Unleash writes them, or the events that lead to them."""

    model_config = ConfigDict(extra="allow")

    features: list[dict[str, object]] = []
    segments: list[dict[str, object]] = []


class ExplainRequest(RequestModel):
    """Users to explain a flag for."""

    user_ids: Annotated[list[Name], Field(min_length=1, max_length=USERS_AT_ONCE)]


def parse_body(model: type[M]) -> M:
    """Return the request's body; pydantic's ValidationError names what does not fit."""
    return model.model_validate(request.get_json(silent=False) if request.get_data() else {})


def fields_set(model: BaseModel) -> dict[str, Any]:
    """Return the fields that were sent."""
    return {name: getattr(model, name) for name in model.model_fields_set}
