"""Unleash's client API for SDKs that follow: what changed since, on a stream or when asked."""

import re
from collections.abc import Callable, Iterator

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_token, token
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.observability import telemetry
from flags.client_features.cache import FeatureCache
from flags.client_features.delta_log import id_of_tag
from flags.client_features.feature_set import FeatureSet
from flags.client_features.prepared_payloads import Payload, PreparedPayloads
from flags.client_features.refresher import feature_provider
from flags.protocols import responses, sse
from flags.protocols.raw_response import not_modified_or, response, staleness
from flags.protocols.request_context import payloads_for
from flags.protocols.sse import Stream, event
from flags.protocols.unleash_errors import error_response
from flags.usage.connections import Mode
from flags.usage.reporter import reporter

bp = Blueprint("client_streaming", __name__, url_prefix="/api/client")

REVISION_ID = re.compile(r'(?:W/)?"?(\d{1,18}\.[0-9a-f]{16})"?', re.ASCII)
FALL_BACK = re.compile(r"unleash-(node|java)-sdk")
"""SDKs that poll at once when they are told that there are too many streams. The others only try again."""
INTRODUCTION = ("unleash-connection-id", "unleash-instanceid", "unleash-appname", "unleash-sdk", "user-agent")
CONNECTED, UPDATED = "unleash-connected", "unleash-updated"


@bp.get("/streaming")
@require_token("client", unleash=True)
@openapi_doc(answers={200: "text/event-stream"})
def stream_view() -> ResponseReturnValue:
    """Return every change of the token's environment as it happens, beginning with what the caller missed."""
    stream = sse.streams().enter(sse.allowed_by(token().selector))
    if stream is None:
        return _refused()
    payloads = payloads_for(token())
    first = _first(payloads, request.headers.get("Last-Event-ID"))
    frames = _frames(feature_provider().cache, stream, payloads.feature_set, first=first, sent=_listener())
    return sse.respond(stream, frames)


@bp.get("/delta")
@require_token("client", unleash=True)
@openapi_doc(answers={200: responses.Events, 304: None})
def delta_view() -> ResponseReturnValue:
    """Return the changes since the revision in `If-None-Match`; everything without one, or for one long gone."""
    payloads = payloads_for(token())
    known = _known_tag(request.headers.get("If-None-Match"))
    body = (payloads.since(known) if known is not None else None) or payloads.hydration
    _record_connection(payloads.feature_set.id, Mode.POLLING)
    etag = f'"{payloads.feature_set.tag}"'
    known_tag = etag if known == payloads.feature_set.tag else None
    return response(not_modified_or(Payload(body, etag), known_tag, *staleness()))


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    telemetry.exclude_from_access_log(app, *(f"{bp.name}.{view.__name__}" for view in (stream_view, delta_view)))


def _first(payloads: PreparedPayloads, last_event_id: str | None) -> bytes:
    """Return the opening event: what was missed since the last one seen, or everything where that is not remembered."""
    known = _known_tag(last_event_id)
    missed = payloads.since(known) if known is not None else None
    return event(CONNECTED, payloads.feature_set.tag, missed or payloads.hydration)


def _frames(
    cache: FeatureCache, stream: Stream, feature_set: FeatureSet, *, first: bytes, sent: Callable[[str], None]
) -> Iterator[bytes]:
    environment, projects, known_tag = feature_set.environment, feature_set.projects, feature_set.tag
    yield b"retry: %d\n\n" % (sse.RETRY_SECONDS * 1000)
    yield first
    del (
        first,
        feature_set,
    )  # whoever follows does so for hours; five hundred must not keep what was large at their start
    newest = sse.newest(cache, environment, projects)
    yield from sse.follow(cache, stream, newest, known_tag, frame=_update, sent=sent)


def _listener() -> Callable[[str], None]:
    """Note which feature set the caller has, after the request itself is over."""
    connections, environment = reporter().connections, token().environment
    headers = {name: value for name in INTRODUCTION if (value := request.headers.get(name))}

    def sent(feature_set_tag: str) -> None:
        revision_id = id_of_tag(feature_set_tag)
        connections.record(headers, environment, now=clock.now(), revision_id=revision_id, mode=Mode.STREAMING)

    return sent


def _update(payloads: PreparedPayloads, known_tag: str) -> bytes:
    return event(UPDATED, payloads.feature_set.tag, payloads.since(known_tag) or payloads.hydration)


def _known_tag(text: str | None) -> str | None:
    """Return the tag that a caller knows; None for none, and for what only an earlier version of this program gave."""
    found = REVISION_ID.fullmatch((text or "").strip())
    return found[1] if found else None


def _refused() -> Response:
    """Refuse a stream for want of a place: SDKs that can are sent to poll, the others come back."""
    falls_back = FALL_BACK.match(request.headers.get("unleash-sdk", "")) is not None
    _record_connection(0, Mode.SHED)
    detail = f"This process holds {sse.streams().limit} streams already; poll /api/client/features instead."
    answer = error_response(429 if falls_back else 503, "TooManyStreams", detail)
    answer.headers["Retry-After"] = str(sse.RETRY_SECONDS)
    return answer


def _record_connection(revision_id: int, mode: Mode) -> None:
    reporter().connections.record(
        request.headers, token().environment, now=clock.now(), revision_id=revision_id, mode=mode
    )
