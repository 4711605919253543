"""OpenAPI models of the responses about SDKs and what they report."""

from typing import Literal

from control_plane.platform.http.openapi import ResponseModel


class ConnectedInstance(ResponseModel):
    """An SDK instance; `current` tells whether it has what its environment is given now."""

    connection_id: str
    environment: str
    application: str
    instance_id: str
    sdk: str
    mode: Literal["polling", "streaming", "shed"]
    revision_id: int
    current: bool
    connected_at: str
    seen_at: str


class ConnectedInstanceList(ResponseModel):
    """The instances heard of lately, and each environment's present revision_id."""

    revision_ids: dict[str, int]
    connections: list[ConnectedInstance]


class FlagUsage(ResponseModel):
    """Answers by application: yes, no, and `variant:` with a name."""

    flag: str
    environment: str
    applications: dict[str, dict[str, int]]


class Measurement(ResponseModel):
    """One series of what services measured."""

    name: str
    type: str
    labels: dict[str, str]
    part: str
    value: float


class MeasurementList(ResponseModel):
    """Impact metrics, summed."""

    environment: str
    measurements: list[Measurement]
