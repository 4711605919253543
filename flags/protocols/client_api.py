"""Unleash's client API: what server-side SDKs of every language ask for and report."""

import re
from collections.abc import Callable
from dataclasses import replace

from flask import Blueprint, Flask, Response, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth.authorization import require_token, token
from control_plane.platform.db.database import read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.http.openapi import FreeFormObject, openapi_doc
from control_plane.platform.identity_types import Token
from control_plane.platform.observability import telemetry
from flags import store
from flags.client_features.prepared_payloads import Payload, PreparedPayloads
from flags.client_features.prepared_payloads import features as payload_of
from flags.protocols import client_reports, requests, responses
from flags.protocols.feature_filters import FeatureFilters
from flags.protocols.raw_response import RawResponse, compressed_or, response, staleness
from flags.protocols.request_context import payloads_for
from flags.protocols.sse import streams
from flags.protocols.tolerant_parsing import parse_readable
from flags.protocols.unleash_errors import BadRequest, error_response, unleash_error_handler
from flags.unleash.feature_payload import inline_segments
from flags.usage.connections import Headers, Mode
from flags.usage.reporter import reporter

bp = Blueprint("client_api", __name__, url_prefix="/api/client")

UNLEASH_VERSION = "8.2.0"
"""The release of Unleash whose client API this is."""
SPEC_HEADER = "Unleash-Client-Spec"
"""The version of Unleash's client specification that an SDK was built to."""
SEGMENTS_SINCE = (4, 2, 0)
NO_FILTERS = FeatureFilters()
TAGS = AppState[Callable[[], dict[str, tuple[store.Tag, ...]]] | None]("flag_tags", lambda: None)
VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]+)?")


@bp.get("/features")
@require_token("client", unleash=True)
@unleash_error_handler
@openapi_doc(
    query={
        "namePrefix": "Only flags whose name begins so.",
        "project": "Only flags of this project; may be repeated.",
        "tag": "Only flags with this tag, type:value; may be repeated.",
    },
    answers={200: responses.Features, 304: None},
)
def features_view() -> ResponseReturnValue:
    """Return every flag of the token's environment and projects, or those that pass the filters."""
    return response(features(request.headers, token(), FeatureFilters.of(request.args)))


@bp.get("/features/<name>")
@require_token("client", unleash=True)
@openapi_doc(answers={200: responses.Feature, 304: None})
def feature_view(name: str) -> ResponseReturnValue:
    """Return one flag of the token's environment."""
    found = payloads_for(token()).feature_set.contents.features.get(name)
    if found is None:
        return error_response(404, "NotFoundError", f"Could not find a flag called {name}.")
    answer = Response(found.encoded, content_type="application/json")
    answer.add_etag()
    return answer.make_conditional(request)


@bp.post("/register")
@require_token("client", unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.Registration, answers={202: None})
def register_view() -> ResponseReturnValue:
    """Take note of an SDK instance that introduces itself."""
    client_reports.registration(parse_readable(requests.Registration), token().environment)
    return Response(status=202, headers={"X-Unleash-Version": UNLEASH_VERSION})


@bp.post("/metrics")
@require_token("client", unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.Metrics, answers={202: None})
def metrics_view() -> ResponseReturnValue:
    """Take the counts of answers per flag, and the impact metrics."""
    client_reports.metrics(parse_readable(requests.Metrics), token().environment)
    return Response(status=202)


@bp.post("/metrics/bulk")
@require_token("client", unleash=True)
@unleash_error_handler
@openapi_doc(body=requests.BulkMetrics, answers={202: None})
def bulk_view() -> ResponseReturnValue:
    """Take a relay's reports. Rows of another environment than the token's are left out."""
    client_reports.bulk(parse_readable(requests.BulkMetrics), token().environment)
    return Response(status=202)


@bp.post("/metrics/edge")
@require_token("client", "admin", unleash=True)
@openapi_doc(body=FreeFormObject, body_is_optional=True, answers={202: None})
def edge_metrics_view() -> ResponseReturnValue:
    """Accept what a relay tells of its own health, which we don't keep."""
    return Response(status=202)


def features(headers: Headers, asker: Token, filters: FeatureFilters = NO_FILTERS) -> RawResponse:
    """Return the flags for the SDK that `headers` speak of; raises BadRequest where they name no version."""
    payloads = payloads_for(asker)
    inline = not _knows_segments(headers.get(SPEC_HEADER))
    reporter().connections.record(headers, asker.environment, now=clock.now(), revision_id=payloads.feature_set.id)
    payload = payloads.inlined if inline else payloads.features
    if asker.projects:
        # As in Unleash: a token that is held to projects outweighs what its caller asks for.
        filters = replace(filters, projects=frozenset())
    if filters:
        payload = _only(payloads, filters, inline=inline)
    return compressed_or(payload, headers, *staleness(), *_invitation(headers))


def read_tags_from_database(app: Flask) -> None:
    """Let SDKs filter by tags, which a relay can't."""
    TAGS.set(app, _tags)


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
    views = (features_view, feature_view, register_view, metrics_view, bulk_view, edge_metrics_view)
    telemetry.exclude_from_access_log(app, *(f"{bp.name}.{view.__name__}" for view in views))


def _knows_segments(version: str | None) -> bool:
    """Return whether an SDK of this version resolves segments itself; without a version it is an old one."""
    if not version:
        return False
    found = VERSION.fullmatch(version.strip())
    if found is None:
        raise BadRequest((SPEC_HEADER, f"{SPEC_HEADER} is {version[:40]!r}; write a version such as 5.2.0."))
    return tuple(map(int, found.groups())) >= SEGMENTS_SINCE


def _only(payloads: PreparedPayloads, filters: FeatureFilters, *, inline: bool) -> Payload:
    tagged = _tagged(filters)
    contents = payloads.feature_set.contents.only(lambda feature: filters.matches(feature, tagged))
    plain = inline_segments(contents) if inline else contents
    return payload_of(payloads.feature_set, plain, filters=filters.to_json(), inline=inline)


def _tagged(filters: FeatureFilters) -> frozenset[str]:
    """Return the names of the flags with one of the tags, which SDKs are not given and the database alone knows."""
    if not filters.tags:
        return frozenset()
    read_tags = TAGS.get()
    if read_tags is None:
        raise BadRequest(("tag", "A relay knows no tags; ask its server, or filter by project or namePrefix."))
    return frozenset(name for name, tags in read_tags().items() if filters.tags & {*tags})


def _tags() -> dict[str, tuple[store.Tag, ...]]:
    with read_only() as session:
        return store.tags(session)


def _invitation(headers: Headers) -> tuple[tuple[str, str], ...]:
    """Lead back to the stream an instance that was turned away from it when there was no place."""
    connections = reporter().connections
    if connections.mode(headers.get("unleash-connection-id") or "") is Mode.SHED and streams().has_room:
        return (("fetch-mode", "streaming"),)
    return ()
