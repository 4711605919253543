"""The outbox over JSON: what was told to whom, and what could not be."""

from flask import Blueprint, Flask, jsonify
from flask.typing import ResponseReturnValue

from alerts.models import Notice, NoticeDelivery
from alerts.notifications import store
from control_plane.platform.auth.authorization import require_role
from control_plane.platform.db.database import read_only

bp = Blueprint("notices", __name__)


@bp.get("/api/notices")
@require_role("viewer")
def index() -> ResponseReturnValue:
    """Return the newest notices, and how many deliveries stand where."""
    with read_only() as session:
        found = store.latest(session)
        states = store.by_state(session)
        return jsonify(notices=[_document(notice, deliveries) for notice, deliveries in found], deliveries=states)


def init_app(app: Flask) -> None:
    """Mount the route."""
    app.register_blueprint(bp)


def _document(notice: Notice, deliveries: list[NoticeDelivery]) -> dict[str, object]:
    return {
        "id": notice.id,
        "at": notice.at.isoformat(),
        "kind": notice.kind,
        "flag": notice.flag,
        "title": notice.title,
        "body": notice.body,
        "deliveries": [
            {"target": each.label, "state": each.state, "attempts": each.attempts, "error": each.error}
            for each in deliveries
        ],
    }
