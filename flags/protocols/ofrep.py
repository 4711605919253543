"""OpenFeature's remote evaluation protocol (OFREP 0.3): one flag, or all of them, for providers of every language."""

from collections.abc import Iterator, Mapping
from hashlib import blake2b

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_token, token
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import Token
from control_plane.platform.json_provider import MalformedJSON, loads
from control_plane.platform.observability import telemetry
from flags.client_features.prepared_payloads import Payload, PreparedPayloads
from flags.client_features.refresher import feature_provider
from flags.client_features.results import FlagResults
from flags.evaluation.contexts import Context, from_fields
from flags.protocols import ofrep_events, requests, responses, stream_tokens
from flags.protocols.cors import cors_headers, preflight
from flags.protocols.ofrep_schemas import failure, success
from flags.protocols.raw_response import JSON, RawResponse, not_modified_or, response, staleness
from flags.protocols.request_context import CONTEXT_BYTES_MAX, payloads_for, with_directory
from flags.protocols.stream_tokens import StreamToken
from flags.unleash.feature_payload import encode

bp = Blueprint("ofrep", __name__, url_prefix="/ofrep/v1")

TYPES = ("client", "frontend", "admin", "service")
INACTIVITY_SECONDS = 120
NO_USER = "This flag depends on the user; send a targetingKey."


class InvalidRequest(ValueError):  # noqa: N818 - what the request is
    """A request that can't be used: OFREP's code and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@bp.post("/evaluate/flags/<path:key>", provide_automatic_options=False)
@require_token(*TYPES, any_environment=True)
@openapi_doc(
    body=requests.OfrepRequest,
    body_is_optional=True,
    answers={200: responses.OfrepSuccess, 400: responses.OfrepFailure, 404: responses.OfrepFailure},
)
def one_view(key: str) -> ResponseReturnValue:
    """Return the value of one flag for the user in the body, with the reason."""
    return response(one(key, request.get_data(), token()))


@bp.post("/evaluate/flags", provide_automatic_options=False)
@require_token(*TYPES, any_environment=True)
@openapi_doc(
    body=requests.OfrepRequest,
    body_is_optional=True,
    answers={200: responses.OfrepBulkSuccess, 304: None, 400: responses.OfrepBulkFailure},
)
def all_view() -> ResponseReturnValue:
    """Return the values of all flags for the user in the body, and where to hear of changes."""
    return response(bulk(request.get_data(), token(), request.headers.get("If-None-Match")))


@bp.route("/evaluate/flags", methods=["OPTIONS"])
@bp.route("/evaluate/flags/<path:key>", methods=["OPTIONS"])
def preflight_view(key: str = "") -> ResponseReturnValue:  # noqa: ARG001 - any flag
    """Answer a browser's preflight request."""
    return preflight()


@bp.after_request
def add_cors_headers(answer: Response) -> Response:
    """Let pages of other sites read every answer, refusals too."""
    cors_headers(answer.headers)
    return answer


@bp.get("/events")
@openapi_doc(query={"channel": "What the evaluation of all flags returned."}, answers={200: "text/event-stream"})
def events_view() -> ResponseReturnValue:
    """Return a stream that tells when to evaluate again; its address comes with the evaluation of all flags."""
    return ofrep_events.events()


def one(key: str, body: bytes, asker: Token) -> RawResponse:
    """Return the evaluation of one flag."""
    try:
        context = with_directory(_context(body), asker)
    except InvalidRequest as unusable:
        return _json(400, failure(key, unusable.code, str(unusable)))
    answers, now = payloads_for(asker).results, clock.now()
    answer = answers.one(key, context, now)
    if answer is None:
        return _json(404, failure(key, "FLAG_NOT_FOUND", f"There is no flag {key!r} here; check its spelling."))
    # Only an error where the answer depends on the user.
    if not context.user_id and answers.needs_user(answer):
        return _json(400, failure(key, "TARGETING_KEY_MISSING", NO_USER))
    document = success(answer, stale_seconds=feature_provider().stale_seconds)
    return _json(400 if "errorCode" in document else 200, document, *staleness())


def bulk(body: bytes, asker: Token, if_none_match: str | None) -> RawResponse:
    """Return the evaluation of every flag, named by its result: it depends on all that was said of the user."""
    try:
        context = with_directory(_context(body), asker)
    except InvalidRequest as unusable:
        return _json(400, {"errorCode": unusable.code, "errorDetails": str(unusable)})
    payloads = payloads_for(asker)
    flags = encode(list(_evaluations(payloads.results, context)))
    # Of the flags alone: the address of the stream names the revision, which may change without any answer changing.
    etag = f'"{blake2b(flags, digest_size=8).hexdigest()}"'
    streams = encode([_stream(asker, payloads)])
    metadata = encode({"environment": payloads.feature_set.environment, "revision_id": payloads.feature_set.id})
    whole = b'{"flags":' + flags + b',"eventStreams":' + streams + b',"metadata":' + metadata + b"}"
    return not_modified_or(Payload(whole, etag), if_none_match, *staleness())


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    telemetry.exclude_from_access_log(
        app, *(f"{bp.name}.{view.__name__}" for view in (one_view, all_view, events_view, preflight_view))
    )


def _evaluations(answers: FlagResults, context: Context) -> Iterator[dict[str, object]]:
    now, stale_seconds = clock.now(), feature_provider().stale_seconds
    for answer in answers.all(context, now):
        if not context.user_id and answers.needs_user(answer):
            yield failure(answer.key, "TARGETING_KEY_MISSING", NO_USER)
        else:
            yield success(answer, stale_seconds=stale_seconds)


def _context(body: bytes) -> Context:
    """Return the context of a body; none at all is nobody in particular."""
    if len(body) > CONTEXT_BYTES_MAX:
        raise InvalidRequest("INVALID_CONTEXT", f"A context has up to {CONTEXT_BYTES_MAX:,} bytes.")
    try:
        value = loads(body) if body.strip() else {}
    except MalformedJSON as malformed:
        raise InvalidRequest("PARSE_ERROR", f"The body isn't valid JSON: {malformed}.") from malformed
    context = value.get("context") if isinstance(value, Mapping) else value
    if not isinstance(value, Mapping) or not isinstance(context, Mapping | None):
        raise InvalidRequest("INVALID_CONTEXT", 'The context is an object, such as {"targetingKey": "7"}.')
    fields = dict(context or {})
    targeting_key = fields.pop("targetingKey", None)
    if isinstance(targeting_key, bool | Mapping | list):
        raise InvalidRequest("INVALID_CONTEXT", "The targetingKey is the user's id, as a text.")
    # The key outweighs a `userId` beside it.
    return from_fields(fields | ({"userId": targeting_key} if targeting_key is not None else {}))


def _stream(asker: Token, payloads: PreparedPayloads) -> dict[str, object]:
    feature_set = payloads.feature_set
    channel = StreamToken(asker.selector, feature_set.environment, feature_set.tag, feature_set.projects)
    address = f"{bp.url_prefix}/events?channel={stream_tokens.sign(channel)}"
    return {"type": "sse", "endpoint": {"requestUri": address}, "inactivityDelaySec": INACTIVITY_SECONDS}


def _json(status: int, document: Mapping[str, object], *extra: tuple[str, str]) -> RawResponse:
    body = encode(document)
    return RawResponse(status, (("Content-Type", JSON), ("Content-Length", str(len(body))), *extra), body)
