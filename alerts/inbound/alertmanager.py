"""Alertmanager's webhook: 2xx once the latch is committed, 5xx for what is worth repeating, 4xx for what never is."""

from datetime import datetime, timedelta

import structlog
from flask import Blueprint, Flask, Response, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import Counter
from pydantic import ValidationError
from sqlalchemy.orm import Session

from alerts.definitions import rules_file
from alerts.inbound import store
from alerts.inbound.decision import Response as Outcome
from alerts.inbound.payload import Notification
from alerts.inbound.receiver import LostRaceError, Receiver, receive
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import Rollout
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.auth.authorization import actor, require_role, require_token
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import request_outcomes
from control_plane.platform.observability.signals import Sample
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current

BODY_BYTES_MAX = 16 * 1024 * 1024
RETRY_SECONDS = 1
REFUSAL = "alertmanager_refused"
BELIEVED = timedelta(hours=9)
"""Alertmanager repeats what still fires every four hours; after two missed repeats it is no longer believed."""

ALERTS = Counter("rollout_alertmanager_alerts", "Alerts received from Alertmanager, by what they led to.", ["response"])
REFUSED = Counter("rollout_alertmanager_refused", "Notifications lost for good: no token, or no notification.")
for outcome in Outcome:
    ALERTS.labels(outcome.value)

bp = Blueprint("alertmanager", __name__)
log = structlog.get_logger()


@bp.post("/webhooks/alertmanager")
@require_token("service", "admin")
def post() -> ResponseReturnValue:
    """Take one notification. Everything it asks for is committed when this answers; repeating it changes nothing."""
    notification = _notification()
    receiver = Receiver(
        rules_file.current().rules,
        actor=f"alertmanager ({actor()})",
        now=clock.now(),
        also_known=current().alertmanager_acting_alerts,
    )
    try:
        with transaction() as session:
            replies = receive(session, notification, receiver)
    except LostRaceError as error:
        raise Problem(503, "TRY_AGAIN", str(error), headers={"Retry-After": str(RETRY_SECONDS)}) from error
    for _, reply in replies:
        ALERTS.labels(reply.response.value).inc()
    return jsonify(
        alerts=[
            {"alert": alert.name, "flag": alert.flag, "response": reply.response, "reason": reply.reason}
            for alert, reply in replies
        ]
    )


@bp.get("/api/alerts/received")
@require_role("viewer")
def received() -> ResponseReturnValue:
    """List the last alerts from Alertmanager and the response to each, those of other systems included."""
    with read_only() as session:
        return jsonify(
            alerts=[
                {
                    "alert": each.alert,
                    "flag": each.flag,
                    "severity": each.severity,
                    "status": each.status,
                    "startsAt": each.starts_at.isoformat(),
                    "lastSeenAt": each.last_seen_at.isoformat(),
                    "deliveries": each.deliveries,
                    "response": each.action,
                    "reason": each.reason,
                }
                for each in store.latest(session)
            ]
        )


def firing(session: Session, rollout: Rollout, now: datetime) -> GateResult:
    """Close re-arming while Alertmanager reports an alert of this flag that has not been resolved."""
    found = store.firing(session, rollout.flag, now=now, believed=BELIEVED)
    evidence = {each.alert: f"since {each.starts_at.isoformat()}" for each in found}
    if found:
        reason = f"Alertmanager reports {', '.join(sorted(evidence))}, not resolved yet."
        return GateResult("alertmanager", GateStatus.CLOSED, reason, evidence)
    return GateResult("alertmanager", GateStatus.OPEN, "Alertmanager reports nothing that fires.", evidence)


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    authorization.larger_bodies(app)["/webhooks/alertmanager"] = BODY_BYTES_MAX


@bp.after_request
def _alarm(response: Response) -> Response:
    """Log an answer of 4xx as an error: Alertmanager never sends that again, so nobody acts on the alert."""
    if request.method != "POST":
        return response
    refused = 400 <= response.status_code < 500
    request_outcomes.observe(Sample(REFUSAL, refused))
    if refused:
        REFUSED.inc()
        log.error("alertmanager.refused", status=response.status_code)
    return response


def _notification() -> Notification:
    request.max_content_length = BODY_BYTES_MAX
    try:
        return Notification.model_validate(request.get_json(force=True))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        detail = (
            f"This is no notification of Alertmanager's, version 4: {where}: {first['msg']}. "
            "Leave out any custom payload template."
        )
        raise Problem(400, "MALFORMED_NOTIFICATION", detail) from error
