"""OpenAPI models of the responses about flags."""

from typing import Literal

from control_plane.platform.http.openapi import ResponseModel


class FlagSummary(ResponseModel):
    """A flag, and where it is on if no rollout moves it."""

    name: str
    rollout: bool
    environments: dict[str, bool] | None = None
    project: str | None = None
    stale: bool | None = None
    tags: list[str] | None = None


class EnvironmentDefinition(ResponseModel):
    """A flag in one environment, with the version that an edit of it names."""

    version: int
    enabled: bool
    strategies: list[dict[str, object]]
    variants: list[dict[str, object]]
    dependencies: list[dict[str, object]]
    updated_at: str
    updated_by: str


class FlagDetail(ResponseModel):
    """One flag with everything that decides who has it; under a rollout that is the rollout."""

    name: str
    rollout: bool
    rollouts: dict[str, str] | None = None
    """The rollouts of single environments, which decide there."""
    type: str | None = None
    project: str | None = None
    description: str | None = None
    stale: bool | None = None
    impression_data: bool | None = None
    tags: list[str] | None = None
    environments: dict[str, EnvironmentDefinition] | None = None


class DefinitionIssue(ResponseModel):
    """A repair of a definition."""

    field: str
    message: str


class EditResult(FlagDetail):
    """The flag after an edit, and what was repaired in it."""

    repairs: list[DefinitionIssue]


class EnvironmentSummary(ResponseModel):
    """An environment, how many flags without a rollout it has, and whether this server is it."""

    name: str
    flags: int
    segments: int
    here: bool


class EnvironmentList(ResponseModel):
    """Every environment that has flags, segments or tokens."""

    environments: list[EnvironmentSummary]


class Segment(ResponseModel):
    """A segment, the flags of its environment that refer to it, and the rollouts whose plans name it."""

    id: int
    name: str
    constraints: list[dict[str, object]]
    version: int
    flags: list[str]
    plans: list[str]


class SegmentList(ResponseModel):
    """The segments of an environment."""

    segments: list[Segment]


class FlagList(ResponseModel):
    """Flags by name; `next` begins the next page."""

    flags: list[FlagSummary]
    next: str | None = None


class ContextField(ResponseModel):
    """A field of a context, what it is compared by, and the flags and segments that go by it."""

    name: str
    operators: list[str]
    stickiness: bool
    flags: list[str]
    segments: list[int]


class ContextFieldList(ResponseModel):
    """The fields that flags of an environment go by."""

    context_fields: list[ContextField]


class StaleFlag(ResponseModel):
    """A flag whose time is over: `complete`, `not_requested` or `not_known`."""

    flag: str
    cause: str
    since: str | None
    sentence: str


class StaleFlagList(ResponseModel):
    """Every flag whose time is over."""

    flags: list[StaleFlag]


class FlagVersion(ResponseModel):
    """A flag after one entry of the audit trail, in each environment; null where the trail holds no content."""

    entry: int
    at: str
    actor: str
    action: str
    reason: str
    environments: dict[str, dict[str, object]] | None


class FlagVersionList(ResponseModel):
    """Every version of a flag."""

    flag: str
    versions: list[FlagVersion]


class RestoredFlag(ResponseModel):
    """A flag as it was restored, and where it is on."""

    flag: str
    environments: dict[str, bool]


class FlagState(ResponseModel):
    """A flag in one environment."""

    name: str
    environment: str
    enabled: bool


class DefinitionRefusal(DefinitionIssue):
    """A reason why one flag, or one segment, was not taken."""

    flag: str


class DefinitionRepair(DefinitionIssue):
    """What was written in another way in one flag, or one segment; the flag is empty where it is in neither."""

    flag: str


class ImportResult(ResponseModel):
    """The numbers of imported definitions, what was repaired in them, and what was refused."""

    features: int
    segments: int
    repairs: list[DefinitionRepair]
    refused: list[DefinitionRefusal]


class DefinitionsExport(ResponseModel):
    """Definitions as Unleash writes them."""

    version: int
    features: list[dict[str, object]]
    segments: list[dict[str, object]]


class ExplanationStep(ResponseModel):
    """One rule that was asked; the last one decided."""

    rule: str
    outcome: Literal["decided", "matched", "passed"]
    sentence: str


class ExplanationEntry(ResponseModel):
    """With whom the user enters, and at which percentage."""

    audience: str | None
    percentage: int | None


class ExplanationNext(ResponseModel):
    """The effect of the next step on the user."""

    changes: bool
    sentence: str


class Explanation(ResponseModel):
    """Why a user has a flag or not. `known` tells whether our directory knows them."""

    flag: str
    environment: str
    rollout: str | None
    """The rollout that decides there, `FLAG@ENVIRONMENT` where the environment has its own; none without one."""
    user_id: str
    known: bool
    value: bool
    variant: str
    reason: str
    detail: str
    phase: str | None
    bucket: int | None
    enters_at: ExplanationEntry
    trace: list[ExplanationStep]
    next: ExplanationNext


class Explanations(ResponseModel):
    """One explanation per user, in the order in which they were named."""

    explanations: list[Explanation]


class Override(ResponseModel):
    """A user whom a flag treats by name."""

    flag: str
    user_id: str
    effect: Literal["allow", "deny"]
    reason: str
    actor: str
    created_at: str
    expires_at: str | None


class StoredOverride(Override):
    """The override as it is now; the warning says where it does not travel to SDKs."""

    warning: str | None = None


class OverrideList(ResponseModel):
    """Who is let in or kept out by name; `next` begins the next page, and a warning says that not all travel."""

    overrides: list[Override]
    next: str | None = None
    warning: str | None = None


class DirectoryUser(ResponseModel):
    """A user's attributes in the directory."""

    user_id: str
    plan: str
    signed_up_at: str | None
    beta: bool
    billing_anchor: str | None


class ImportedUsers(ResponseModel):
    """The number of users stored."""

    users: int
