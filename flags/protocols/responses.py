"""OpenAPI models of the responses to SDKs; the responses themselves are prepared elsewhere."""

from typing import Literal

from pydantic import BaseModel, Field

from control_plane.platform.http.openapi import ResponseModel

Primitive = bool | str | int | float


class Variant(BaseModel):
    """The variant of a flag that is on."""

    name: str
    enabled: bool
    payload: dict[str, str] | None = None
    feature_enabled: bool
    featureEnabled: bool  # noqa: N815 - Unleash says it both ways


class FrontendFeature(ResponseModel):
    """A flag that is on."""

    name: str
    enabled: Literal[True]
    impression_data: bool
    variant: Variant


class FrontendFeatures(ResponseModel):
    """The flags that are on for whoever asked."""

    toggles: list[FrontendFeature]


class OfrepSuccess(ResponseModel):
    """A flag's value; where there is none, the default in the caller's code holds."""

    key: str
    value: object = None
    variant: str
    reason: Literal["STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "UNKNOWN", "STALE"]
    metadata: dict[str, Primitive]


class OfrepFailure(ResponseModel):
    """Why a flag has no value."""

    key: str
    error_code: Literal["PARSE_ERROR", "TARGETING_KEY_MISSING", "INVALID_CONTEXT", "GENERAL", "FLAG_NOT_FOUND"]
    error_details: str


class OfrepBulkFailure(ResponseModel):
    """Why no flag has a value."""

    error_code: Literal["PARSE_ERROR", "INVALID_CONTEXT", "GENERAL"]
    error_details: str


class Endpoint(ResponseModel):
    """The address of a stream, on the host that was asked."""

    request_uri: str


class EventStream(ResponseModel):
    """A stream that tells when to evaluate again."""

    type: Literal["sse"]
    endpoint: Endpoint
    inactivity_delay_sec: int


class OfrepBulkSuccess(ResponseModel):
    """Every flag's value, and where to hear of changes."""

    flags: list[OfrepSuccess | OfrepFailure]
    event_streams: list[EventStream]
    metadata: dict[str, Primitive]


class Feature(ResponseModel):
    """A flag as SDKs evaluate it."""

    name: str
    enabled: bool
    strategies: list[dict[str, object]]


class Features(ResponseModel):
    """Every flag of an environment; `segments` is left out for SDKs that don't know them."""

    version: Literal[2]
    features: list[Feature]
    segments: list[dict[str, object]] = Field(default_factory=list)
    query: dict[str, object]
    meta: dict[str, object]


class Events(ResponseModel):
    """Changes in their order; `hydration` replaces everything."""

    events: list[dict[str, object]]


class ValidToken(ResponseModel):
    """A token that opens something."""

    token: str
    type: str
    projects: list[str]
    environment: str
    trusted_attributes: list[str]


class ValidTokens(ResponseModel):
    """Those of the tokens sent that open something."""

    tokens: list[ValidToken]
