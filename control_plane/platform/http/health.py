"""Alive, ready, measured: what orchestrators and Prometheus ask. No session, no access log."""

from collections.abc import Callable

import structlog
from flask import Blueprint, Flask, Response, current_app, jsonify, request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_LATEST

from control_plane.platform.auth.authorization import require_token
from control_plane.platform.db.database import db, read_only
from control_plane.platform.db.pool import LastReturn
from control_plane.platform.extensions import AppState
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.http.schemas import Liveness, Readiness
from control_plane.platform.http.shutdown import STOPPING
from control_plane.platform.observability import saturation, telemetry
from control_plane.platform.runtime import change_feed
from control_plane.platform.runtime.jobs import jobs_of
from control_plane.platform.runtime.shared_call import SharedCall

bp = Blueprint("health", __name__)
LOOPBACK = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
BUSY = "busy: "
PING_SECONDS = 2.0
FORWARDING = ("X-Forwarded-For", "Forwarded", "X-Real-Ip")

Ping = Callable[[], None]
"""Returns while all is well; raises NotReady or Busy with a sentence for all, or anything else for our log alone."""
PINGS = AppState[dict[str, Ping]]("pings")
DATABASE_CALL = AppState[SharedCall]("database_call")
LAST_RETURN = AppState[LastReturn]("last_return")

log = structlog.get_logger()


class NotReady(Exception):  # noqa: N818 - a state, not a mistake
    """Something this process needs is missing; the message may be shown to anybody."""


class Busy(Exception):  # noqa: N818 - a state, not a mistake
    """Something is short of room and goes on; told, but no reason to send everybody to hosts that are as busy."""


def register(name: str, ping: Ping) -> None:
    """Let `ping` have a say in whether this process is ready; call it inside an application context."""
    PINGS.get()[name] = ping


@bp.get("/healthz")
@openapi_doc(answers={200: Liveness})
def alive() -> ResponseReturnValue:
    """Answer that the process runs. Nothing else is touched, so that an outage elsewhere restarts nobody."""
    return jsonify(status="alive")


@bp.get("/readyz")
@openapi_doc(answers={200: Readiness, 503: Readiness})
def ready() -> ResponseReturnValue:
    """Run every readiness check by name; 503 if one fails. What is only `busy: …` is ready."""
    answers = checks()
    is_ready = is_passed(*answers.values())
    response = jsonify(status="ready" if is_ready else "not ready", checks=answers)
    response.headers["Cache-Control"] = "no-store"
    return response, 200 if is_ready else 503


def is_passed(*answers: str) -> bool:
    """Return whether these answers of readiness checks keep nobody away; what is busy is ready."""
    return all(answer == "ok" or answer.startswith(BUSY) for answer in answers)


def checks() -> dict[str, str]:
    """Run every readiness check; map its name to `ok`, to `busy: …` or to what is wrong."""
    return {name: _ask(name, ping) for name, ping in PINGS.get().items()}


@bp.get("/metrics")
@openapi_doc(answers={200: "text/plain"})
def metrics() -> ResponseReturnValue:
    """Return every metric, for a client on this machine or with an admin or service token."""
    return _exposition() if _is_local() else require_token("admin", "service")(_exposition)()


def init_app(app: Flask) -> None:
    """Mount the routes; packages add their pings."""
    PINGS.set(app, {"database": _ping_database, "writes": _ping_writes, "requests": _ping_requests, "stop": _ping_stop})
    DATABASE_CALL.set(app, SharedCall(app, _read_revision))
    with app.app_context():
        LAST_RETURN.set(app, LastReturn(db.engine))
    app.register_blueprint(bp)
    telemetry.exclude_from_access_log(app, "health.alive", "health.ready", "health.metrics")


def _exposition() -> Response:
    return Response(telemetry.exposition(), content_type=CONTENT_TYPE_LATEST)


def _ask(name: str, ping: Ping) -> str:
    try:
        ping()
    except NotReady as reason:
        return str(reason)
    except Busy as reason:
        return f"{BUSY}{reason}"
    except Exception as error:
        log.warning("readiness.failed", check=name, error=type(error).__name__, cause=str(error)[:300])
        return "failed; the log says why"
    return "ok"


def _ping_database() -> None:
    """Fail while the database gives no answer. One that hangs is told of within the time-outs of most probes."""
    try:
        DATABASE_CALL.get().wait(PING_SECONDS)
    except TimeoutError as error:
        if LAST_RETURN.get().is_within(PING_SECONDS):
            raise Busy("The database answers, but hardly a connection to it is free.") from error
        raise NotReady(f"The database has not answered for {PING_SECONDS:g} seconds.") from error


def _read_revision() -> None:
    with read_only() as session:
        change_feed.revision(session)


def _ping_writes() -> None:
    """Fail while the leader can't write: a disk without room and a standby answer every query, and take no change."""
    # The heartbeat writes every second anyway, so no check has to write.
    failure = jobs_of(current_app).lead_failure
    if failure is not None:
        raise NotReady(f"The database takes no changes ({failure}).")


def _ping_requests() -> None:
    """Fail while requests can't begin. A crowd is no outage: what waits for a thread is answered later."""
    if found := saturation.REQUESTS.get().saturated:
        raise Busy(found)


def _ping_stop() -> None:
    """Fail once the process is stopping: a balancer that goes by this sends the next requests elsewhere."""
    if STOPPING.get().is_set():
        raise NotReady("This process is about to stop.")


def _is_local() -> bool:
    """Return whether the caller is on this machine; a proxy would make the whole world look local."""
    return request.remote_addr in LOOPBACK and not any(header in request.headers for header in FORWARDING)
