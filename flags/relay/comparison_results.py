"""Results of comparisons pass through a relay: upstream checks the token and counts, and its answer goes back."""

from urllib.parse import quote

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform.extensions import AppState
from control_plane.platform.problems import Problem
from flags.relay.upstream import Upstream, UpstreamError

UPSTREAM = AppState[Upstream]("relay_upstream")
RETRY_SECONDS = 5

bp = Blueprint("relayed_results", __name__)


@bp.post("/api/experiments/<name>/results")
def post(name: str) -> ResponseReturnValue:
    """Pass on a batch of results; while upstream is away a 503 makes the client keep it and send it again."""
    path = f"/api/experiments/{quote(name, safe='')}/results"
    try:
        answer = UPSTREAM.get().forward(path, request.headers.get("Authorization", ""), request.get_data())
    except UpstreamError as error:
        detail = "Upstream can't be reached at the moment; send these results again."
        raise Problem(503, "UPSTREAM_UNAVAILABLE", detail, headers={"Retry-After": str(RETRY_SECONDS)}) from error
    headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
    return Response(answer.body, answer.status, headers, content_type=answer.content_type)


def init_app(app: Flask, upstream: Upstream) -> None:
    """Mount the route in front of `upstream`."""
    UPSTREAM.set(app, upstream)
    app.register_blueprint(bp)
