"""The outbox over JSON: what was told to whom, and what could not be."""

from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue

from alerts.models import Notification, NotificationDelivery
from alerts.notifications import store
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only

bp = Blueprint("notices", __name__)


@bp.get("/api/notices")
@require_role("viewer")
def index() -> ResponseReturnValue:
    """Return the newest notifications, and how many deliveries stand where."""
    with read_only() as session:
        found = store.latest(session)
        states = store.by_state(session)
        return jsonify(
            notices=[_document(notification, deliveries) for notification, deliveries in found], deliveries=states
        )


def init_app(app: Flask) -> None:
    """Mount the route."""
    app.register_blueprint(bp)


def _document(notification: Notification, deliveries: list[NotificationDelivery]) -> dict[str, object]:
    return {
        "id": notification.id,
        "at": notification.at.isoformat(),
        "kind": notification.kind,
        "flag": notification.flag,
        "title": notification.title,
        "body": notification.body,
        "deliveries": [
            {"target": each.label, "state": each.state, "attempts": each.attempts, "error": each.error}
            for each in deliveries
        ],
    }
