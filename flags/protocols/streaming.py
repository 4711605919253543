"""Unleash's client API for SDKs that follow: what changed since, on a stream or when asked."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform.auth.authorization import require_token, token
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.observability import telemetry
from flags.connections import Mode
from flags.protocols import answers, streams
from flags.protocols.refusals import refusal
from flags.protocols.reply import conditional, response
from flags.protocols.staleness import staleness
from flags.protocols.streams import Stream, event
from flags.publication.edition import Edition
from flags.publication.history import edition_id
from flags.publication.published import Payload, Published
from flags.publication.publisher import publisher
from flags.publication.shelf import Shelf
from flags.reporting import reporting

bp = Blueprint("client_streaming", __name__, url_prefix="/api/client")

EDITION = re.compile(r'(?:W/)?"?(\d{1,18}\.[0-9a-f]{16})"?', re.ASCII)
FALL_BACK = re.compile(r"unleash-(node|java)-sdk")
"""SDKs that poll at once when they are told that there are too many streams. The others only try again."""
INTRODUCTION = ("unleash-connection-id", "unleash-instanceid", "unleash-appname", "unleash-sdk", "user-agent")
CONNECTED, UPDATED = "unleash-connected", "unleash-updated"


@bp.get("/streaming")
@require_token("client", unleash=True)
@openapi_doc(answers={200: "text/event-stream"})
def stream_view() -> ResponseReturnValue:
    """Every change of the token's environment as it happens, beginning with what the caller missed."""
    stream = streams.streams().enter(streams.allowed_by(token().selector))
    if stream is None:
        return _refused()
    published = publisher().current(token().environment)
    first = _first(published, request.headers.get("Last-Event-ID"))
    frames = _frames(publisher().shelf, stream, published.edition, first=first, sent=_listener())
    return streams.respond(stream, frames)


@bp.get("/delta")
@require_token("client", unleash=True)
@openapi_doc(answers={200: answers.Events, 304: None})
def delta_view() -> ResponseReturnValue:
    """What changed since the edition in `If-None-Match`; everything for who has none, or one long gone."""
    published = publisher().current(token().environment)
    known = _edition(request.headers.get("If-None-Match"))
    body = (published.since(known) if known is not None else None) or published.hydration
    _note(published.edition.id, Mode.POLLING)
    etag = f'"{published.edition.tag}"'
    seen = etag if known == published.edition.tag else None
    return response(conditional(Payload(body, etag), seen, *staleness()))


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    telemetry.exclude_from_access_log(app, *(f"{bp.name}.{view.__name__}" for view in (stream_view, delta_view)))


def _first(published: Published, last_event_id: str | None) -> bytes:
    """The opening event: what was missed since the last one seen, or everything where that is not remembered."""
    known = _edition(last_event_id)
    missed = published.since(known) if known is not None else None
    return event(CONNECTED, published.edition.tag, missed or published.hydration)


def _frames(
    shelf: Shelf, stream: Stream, edition: Edition, *, first: bytes, sent: Callable[[str], None]
) -> Iterator[bytes]:
    environment, seen = edition.environment, edition.tag
    yield b"retry: %d\n\n" % (streams.RETRY_SECONDS * 1000)
    yield first
    del first, edition  # whoever follows does so for hours; five hundred must not keep what was large at their start
    yield from streams.follow(shelf, stream, environment, seen, frame=_update, sent=sent)


def _listener() -> Callable[[str], None]:
    """Notes which edition the caller has, after the request itself is over."""
    connections, environment = reporting().connections, token().environment
    headers = {name: value for name in INTRODUCTION if (value := request.headers.get(name))}

    def sent(edition_tag: str) -> None:
        edition = edition_id(edition_tag)
        connections.note(headers, environment, now=datetime.now(UTC), edition=edition, mode=Mode.STREAMING)

    return sent


def _update(published: Published, seen: str) -> bytes:
    return event(UPDATED, published.edition.tag, published.since(seen) or published.hydration)


def _edition(text: str | None) -> str | None:
    """The tag that a caller knows; None for none, and for what only an earlier version of this program gave."""
    found = EDITION.fullmatch((text or "").strip())
    return found[1] if found else None


def _refused() -> Response:
    """No place is free: SDKs that can are sent to poll, the others come back."""
    falls_back = FALL_BACK.match(request.headers.get("unleash-sdk", "")) is not None
    _note(0, Mode.SHED)
    words = f"This process holds {streams.streams().limit} streams already; poll /api/client/features instead."
    answer = refusal(429 if falls_back else 503, "TooManyStreams", words)
    answer.headers["Retry-After"] = str(streams.RETRY_SECONDS)
    return answer


def _note(edition: int, mode: Mode) -> None:
    reporting().connections.note(
        request.headers, token().environment, now=datetime.now(UTC), edition=edition, mode=mode
    )
