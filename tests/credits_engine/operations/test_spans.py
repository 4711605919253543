"""A credit operation in a trace: request, transaction, evaluation and both engines, and nobody's id."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from control_plane.experiments.credits import FLAG
from control_plane.platform.observability import logs, tracing
from control_plane.platform.observability.tracing import Tracing
from flags.store import UserAttributes
from tests.installation import Installation
from tests.serving import serving

USER = "ada-who-must-not-be-named"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture
def spans(app: Flask) -> InMemorySpanExporter:
    """Export the spans of the application from now on."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.trace_with(app, Tracing(provider))
    installation = Installation(app)
    installation.plan()
    installation.users(UserAttributes(user_id=USER, plan="free", signed_up_at=datetime.now(UTC)))
    return exporter


def consume(client: FlaskClient, token: str, key: str) -> None:
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": key, **TRACEPARENT}
    answer = client.post("/api/credits/consume", json={"userId": USER, "analysis": 1}, headers=headers)
    assert answer.status_code == 200, answer.text


def test_one_trace_leads_from_the_caller_to_both_engines(
    client: FlaskClient, spans: InMemorySpanExporter, service_token: str
) -> None:
    consume(client, service_token, "k1")
    found = {span.name: span for span in spans.get_finished_spans()}
    request, transaction = found["POST /api/credits/consume"], found["credits transaction"]
    assert {f"{span.context.trace_id:032x}" for span in found.values()} == {TRACE}
    assert f"{parent(request):016x}" == CALLER
    assert parent(transaction) == request.context.span_id
    assert (request.attributes or {})["http.response.status_code"] == 200
    roles = {"engine legacy": "served", "engine v2": "shadow"}
    for name, role in roles.items():
        assert parent(found[name]) == transaction.context.span_id
        assert (found[name].attributes or {})["rollout.role"] == role
        assert (found[name].attributes or {})["rollout.variance"] == "match"
    (evaluation,) = transaction.events
    assert evaluation.attributes is not None
    assert evaluation.attributes["feature_flag.key"] == FLAG
    assert evaluation.attributes["feature_flag.result.variant"] == "legacy"
    assert "database statement" in found
    assert USER not in "".join(span.to_json() for span in found.values())


def test_a_repeated_answer_asks_no_engine(client: FlaskClient, spans: InMemorySpanExporter, service_token: str) -> None:
    consume(client, service_token, "k1")
    spans.clear()
    consume(client, service_token, "k1")
    names = [span.name for span in spans.get_finished_spans()]
    assert "credits transaction" in names
    assert [name for name in names if name.startswith("engine")] == []


def test_a_method_that_nobody_knows_makes_no_name_of_its_own(client: FlaskClient, spans: InMemorySpanExporter) -> None:
    assert client.open("/api/credits/config", method="M1").status_code == 405
    (span,) = spans.get_finished_spans()
    assert (span.name, (span.attributes or {})["http.request.method"]) == ("_OTHER (unmatched)", "_OTHER")


def test_a_refusal_names_its_kind_and_nobody(
    client: FlaskClient, spans: InMemorySpanExporter, service_token: str
) -> None:
    headers = {"Authorization": f"Bearer {service_token}", "Idempotency-Key": f"a key of {USER}"}
    for user, amount in ((f"{USER}, who is not here", 1), (USER, 1), (USER, 2)):
        client.post("/api/credits/consume", json={"userId": user, "analysis": amount}, headers=headers)
    found = spans.get_finished_spans()
    types = [(span.attributes or {}).get("error.type") for span in found if span.name == "credits transaction"]
    assert types == ["UnknownUserError", None, "KeyConflictError"]
    assert USER not in "".join(span.to_json() for span in found)


@pytest.mark.database("sqlite")
def test_a_line_of_the_log_names_its_trace(
    client: FlaskClient, spans: InMemorySpanExporter, service_token: str
) -> None:
    with capture_logs(processors=[logs.add_request_id]) as events:
        consume(client, service_token, "k1")
    assert {event["trace_id"] for event in events if event["event"] == "http.request"} == {TRACE}
    assert spans.get_finished_spans()


def test_a_server_sends_them_to_its_collector(tmp_path: Path) -> None:
    with collector() as (address, received):
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "50"}
        with serving(tmp_path, **settings) as served:
            requests.get(f"{served.url}/api/credits/config", headers=TRACEPARENT, timeout=30)
            while received.get(timeout=30) != (TRACE, "GET /api/credits/config"):
                """Statements come before the request that they belong to."""


@contextmanager
def collector() -> Iterator[tuple[str, Queue[tuple[str, str]]]]:
    """Its address, and what it has been sent: the trace and the name of each span."""
    received = Queue[tuple[str, str]]()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["Content-Length"])))
            spans: list[Any] = [
                span for each in sent.resource_spans for scope in each.scope_spans for span in scope.spans
            ]
            for span in spans:
                received.put((span.trace_id.hex(), span.name))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", received
    finally:
        server.shutdown()
        server.server_close()


def parent(span: ReadableSpan) -> int:
    assert span.parent is not None
    return span.parent.span_id
