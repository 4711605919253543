"""Users of the flags: connected SDK instances with their revision, and what services report."""

import json
from datetime import timedelta
from typing import Literal

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from control_plane.platform.settings import current
from flags import store
from flags.client_features.refresher import feature_provider
from flags.usage.connections import Connection

bp = Blueprint("connections", __name__, url_prefix="/api")

ENVIRONMENT = {"environment": "Default: the environment of this installation."}
CONNECTED_WITHIN = timedelta(minutes=10)
USAGE_WITHIN = timedelta(days=7)


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


@bp.get("/connections")
@require_role("viewer")
@openapi_doc(query={"environment": "Default: every environment."}, answers={200: ConnectedInstanceList})
def index() -> ResponseReturnValue:
    """Return the SDK instances heard of in the last ten minutes, and whether each is up to date."""
    environment = request.args.get("environment")
    with read_only() as session:
        found = store.connections(session, since=clock.now() - CONNECTED_WITHIN, environment=environment)
    environments = {connection.environment for connection in found}
    revision_ids = {each: feature_provider().current(each).feature_set.id for each in environments}
    connections = [_document(each, revision_ids[each.environment]) for each in found]
    return jsonify({"revisionIds": revision_ids, "connections": connections})


@bp.get("/flags/<flag>/usage")
@require_role("viewer")
@openapi_doc(query=ENVIRONMENT, answers={200: FlagUsage})
def usage(flag: str) -> ResponseReturnValue:
    """Count the answers of the flag per application in the last seven days."""
    environment = request.args.get("environment", current().environment)
    with read_only() as session:
        found = store.usage(session, flag, environment, since=clock.now() - USAGE_WITHIN)
    return jsonify({"flag": flag, "environment": environment, "applications": found})


@bp.get("/measurements")
@require_role("viewer")
@openapi_doc(query=ENVIRONMENT, answers={200: MeasurementList})
def measurements() -> ResponseReturnValue:
    """List the impact metrics that services sent, summed since the beginning."""
    environment = request.args.get("environment", current().environment)
    with read_only() as session:
        found = store.measurements(session, environment)
    rows = [
        {"name": each.name, "type": each.type, "labels": json.loads(each.labels), "part": each.part, "value": value}
        for each, value in found
    ]
    return jsonify({"environment": environment, "measurements": rows})


def _document(connection: Connection, revision_id: int) -> dict[str, object]:
    return {
        "connectionId": connection.id,
        "environment": connection.environment,
        "application": connection.app_name,
        "instanceId": connection.instance_id,
        "sdk": connection.sdk,
        "mode": connection.mode.value,
        "revisionId": connection.revision_id,
        "current": connection.revision_id == revision_id,
        "connectedAt": connection.connected_at.isoformat(),
        "seenAt": connection.seen_at.isoformat(),
    }
