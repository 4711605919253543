"""Traces of requests by OpenTelemetry, where the extra `otel` is installed and an endpoint is set; else nothing at all.

What is measured here already is told in spans with the times that were measured: no second clock runs beside the first.
Nobody's id and no value of a statement is in them.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from time import time_ns
from typing import Any

from flask import Flask, Response, has_app_context, request

from control_plane.platform import start_checks
from control_plane.platform.extensions import AppState
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import SETTINGS, current

SERVICE = "rollout"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"
"""OpenTelemetry's name for all others: callers may write whatever they like."""
STATEMENT_CHARACTERS = 300
TRACED = "rollout.span"
"""Where the span of a request and how to leave it stand in the WSGI environment."""

Attributes = Mapping[str, str | int | bool]


class Tracing:
    """The tracer of this process. OpenTelemetry's modules are named here alone, since they may be missing."""

    def __init__(self, provider: Any) -> None:
        self._tracer = provider.get_tracer(SERVICE)
        self._api = import_module("opentelemetry.trace")
        self._context = import_module("opentelemetry.context")
        self._propagate = import_module("opentelemetry.propagate")

    def begin_request(self) -> None:
        """Begin a span for the request, below the caller's where it names one (`traceparent`)."""
        parent = self._propagate.extract({"traceparent": request.headers.get("traceparent", "")})
        span = self._tracer.start_span(_method(), context=parent, kind=self._api.SpanKind.SERVER)
        token = self._context.attach(self._api.set_span_in_context(span, parent))
        request.environ[TRACED] = span, token

    def name_request(self, response: Response) -> Response:
        """Give the span what is known once there is an answer."""
        if TRACED in request.environ:
            span, _ = request.environ[TRACED]
            route = str(request.url_rule) if request.url_rule else "(unmatched)"
            span.update_name(f"{_method()} {route}")
            span.set_attributes(
                {
                    "http.request.method": _method(),
                    "http.route": route,
                    "http.response.status_code": response.status_code,
                }
            )
            if response.status_code >= 500:
                span.set_status(self._api.StatusCode.ERROR)
        return response

    def end_request(self, _error: BaseException | None) -> None:
        """End the span, however the request ended."""
        span, token = request.environ.pop(TRACED, (None, None))
        if span is not None:
            span.end()
            self._context.detach(token)

    @contextmanager
    def span(self, name: str) -> Iterator[object]:
        """Run the block within a span below the current one."""
        # OpenTelemetry would write the exception's message, and its trace with messages, which name users and values.
        whole = {"record_exception": False, "set_status_on_exception": False}
        with self._tracer.start_as_current_span(name, **whole) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                raise

    def past_span(self, name: str, *, seconds: float, attributes: Attributes) -> None:
        """Tell of something that took so long and has just ended."""
        if self._api.get_current_span().is_recording():
            ended = time_ns()
            span = self._tracer.start_span(name, start_time=ended - int(seconds * 1e9), attributes=attributes)
            span.end(ended)

    def event(self, name: str, attributes: Attributes) -> None:
        """Note an instant in the current span."""
        self._api.get_current_span().add_event(name, attributes)

    @property
    def trace_id(self) -> str:
        """Return the current trace as logs name it; nothing outside of one."""
        context = self._api.get_current_span().get_span_context()
        return f"{context.trace_id:032x}" if context.is_valid else ""


TRACING = AppState[Tracing | None]("tracing", lambda: None)


def start(app: Flask) -> None:
    """Trace the requests of this process, if an endpoint is set. Call it after any fork."""
    endpoint = SETTINGS.get(app).otel_endpoint
    if endpoint:
        trace_with(app, Tracing(_provider(endpoint)))


def trace_with(app: Flask, tracing: Tracing) -> None:
    """Trace the requests of this application."""
    TRACING.set(app, tracing)
    app.before_request(tracing.begin_request)
    app.after_request(tracing.name_request)
    app.teardown_request(tracing.end_request)


def init_app(app: Flask) -> None:
    """Have a server refuse to start without what it was told to send traces with."""
    start_checks.register(app, require_packages)


def require_packages() -> None:
    """Raise SettingsError if an endpoint is set and OpenTelemetry is not installed."""
    if current().otel_endpoint:
        try:
            import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        except ImportError as error:
            sentence = "OTEL_EXPORTER_OTLP_ENDPOINT is set, and OpenTelemetry is not installed"
            raise SettingsError(f"{sentence}: pip install 'rollout-control-plane[otel]'.") from error


def is_on() -> bool:
    """Return whether requests are traced; all of the next functions do nothing where they are not."""
    return TRACING.get() is not None


def span(name: str) -> AbstractContextManager[object]:
    """Return a block that is a span below the current one, where requests are traced."""
    found = TRACING.get()
    return found.span(name) if found else nullcontext()


def past_span(name: str, *, seconds: float, attributes: Attributes) -> None:
    """Tell of something that took so long and has just ended."""
    if found := TRACING.get():
        found.past_span(name, seconds=seconds, attributes=attributes)


def statement(seconds: float, text: str) -> None:
    """Tell of a statement that a request waited for."""
    if is_on():
        past_span("database statement", seconds=seconds, attributes={"db.query.text": text[:STATEMENT_CHARACTERS]})


def evaluation(flag: str, arm: str, reason: str) -> None:
    """Note which arm of a flag was chosen, in the words of OpenTelemetry's conventions."""
    if found := TRACING.get():
        attributes: Attributes = {
            "feature_flag.key": flag,
            "feature_flag.result.variant": arm,
            "feature_flag.result.reason": reason,
        }
        found.event("feature_flag.evaluation", attributes)


def trace_id() -> str:
    """Return the current trace as its backend names it; nothing outside of one."""
    found = TRACING.get() if has_app_context() else None
    return found.trace_id if found else ""


def _method() -> str:
    return request.method if request.method in METHODS else OTHER_METHOD


def _provider(endpoint: str) -> Any:
    names = ("trace", "trace.export", "resources")
    trace, export, resources = (import_module(f"opentelemetry.sdk.{name}") for name in names)
    exporter = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter").OTLPSpanExporter(
        endpoint=f"{endpoint.rstrip('/')}/v1/traces"
    )
    provider = trace.TracerProvider(resource=resources.Resource.create({"service.name": SERVICE}))
    provider.add_span_processor(export.BatchSpanProcessor(exporter))
    return provider
