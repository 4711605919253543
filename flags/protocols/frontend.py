"""Unleash's frontend API: browsers and phones that hold no flags and ask who they are to see them."""

from collections.abc import Mapping
from hashlib import blake2b

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_token, token
from control_plane.platform.http.openapi import openapi_doc
from control_plane.platform.identity_types import Token
from control_plane.platform.observability import telemetry
from flags.client_features.prepared_payloads import Payload
from flags.evaluation.contexts import Context, from_nested, from_query
from flags.protocols import client_reports, requests, responses
from flags.protocols.cors import cors_headers, preflight
from flags.protocols.raw_response import RawResponse, matches, not_modified_or, response, staleness
from flags.protocols.request_context import CONTEXT_BYTES_MAX, payloads_for, with_connection, with_directory
from flags.protocols.tolerant_parsing import parse_readable
from flags.protocols.unleash_errors import BadRequest, unleash_error_handler

bp = Blueprint("frontend_api", __name__, url_prefix="/api/frontend")

TYPES = ("frontend", "admin")


@bp.get("", provide_automatic_options=False)
@require_token(*TYPES, unleash=True)
@openapi_doc(
    query={"userId": "The user.", "sessionId": "Their session.", "properties[plan]": "Any property, by its name."},
    answers={200: responses.FrontendFeatures, 304: None},
)
def toggles_view() -> ResponseReturnValue:
    """List the flags that are on for the user in the address: `?userId=…&properties[plan]=pro`."""
    return _evaluate(from_query(request.args))


@bp.post("", provide_automatic_options=False)
@require_token(*TYPES, unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.FrontendRequest, body_is_optional=True, answers={200: responses.FrontendFeatures, 304: None})
def ask_view() -> ResponseReturnValue:
    """List the flags that are on for the user in the body: `{"context": {"userId": …}}`."""
    request.max_content_length = CONTEXT_BYTES_MAX
    value = request.get_json(force=True) if request.get_data() else {}
    return _evaluate(from_body(value))


@bp.post("/client/metrics", provide_automatic_options=False)
@require_token(*TYPES, unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.Metrics, answers={200: "text/plain"})
def metrics_view() -> ResponseReturnValue:
    """Take the counts of answers per flag."""
    # A frontend token stands in every page's source, so what it reports must not be able to roll anything back.
    client_reports.metrics(
        parse_readable(requests.Metrics), token().environment, counts_outcomes=token().type.is_secret
    )
    return _ok()


@bp.post("/client/register", provide_automatic_options=False)
@require_token(*TYPES, unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.Registration, answers={200: "text/plain"})
def register_view() -> ResponseReturnValue:
    """Note that a browser's SDK introduces itself."""
    client_reports.registration(parse_readable(requests.Registration), token().environment)
    return _ok()


@bp.route("", methods=["OPTIONS"])
@bp.route("/client/metrics", methods=["OPTIONS"])
@bp.route("/client/register", methods=["OPTIONS"])
@bp.route("/client/features", methods=["OPTIONS"])
@bp.route("/health", methods=["OPTIONS"])
def preflight_view() -> ResponseReturnValue:
    """Answer a browser's preflight request."""
    return preflight()


@bp.after_request
def add_cors_headers(answer: Response) -> Response:
    """Let pages of other sites read every answer, refusals too."""
    cors_headers(answer.headers)
    return answer


def toggles(context: Context, asker: Token, *, address: str | None, if_none_match: str | None) -> RawResponse:
    """Return the flags that are on for this user; the ETag is of the content, which depends on the user."""
    enriched = with_directory(with_connection(context, address), asker)
    results = payloads_for(asker).results
    question = results.tags.key(enriched, has_session=context.session_id is not None)
    known = results.tags.find(question) if if_none_match else None
    if known and if_none_match and matches(if_none_match, known):
        return not_modified_or(Payload(b"", known), if_none_match, *staleness())
    answered = results.toggles(enriched, clock.now())
    etag = f'"{blake2b(answered.body, digest_size=8).hexdigest()}"'
    if not answered.can_differ:
        results.tags.add(question, etag)
    return not_modified_or(Payload(answered.body, etag), if_none_match, *staleness())


def from_body(value: object) -> Context:
    """Return the context of a body; raises BadRequest where it is no object."""
    context = value.get("context", {}) if isinstance(value, Mapping) else None
    if not isinstance(context, Mapping):
        raise BadRequest(("context", 'The context is an object, such as {"userId": "7"}.'))
    return from_nested(context)


def _ok() -> Response:
    return Response("OK", content_type="text/plain; charset=utf-8")


def _evaluate(context: Context) -> Response:
    known_etag = request.headers.get("If-None-Match")
    return response(toggles(context, token(), address=request.remote_addr, if_none_match=known_etag))


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    views = (toggles_view, ask_view, metrics_view, register_view, preflight_view)
    telemetry.exclude_from_access_log(app, *(f"{bp.name}.{view.__name__}" for view in views))
