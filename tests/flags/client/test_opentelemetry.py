"""Evaluations on the spans of the official SDK: the conventions' names, and nobody's id unless that was asked for."""

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv._incubating.attributes import feature_flag_attributes as conventions
from opentelemetry.trace import Tracer

from flags.client.hooks import EvaluationReason, FlagEvaluation
from flags.client.opentelemetry import OpenTelemetryHook

Recorded = tuple[Tracer, InMemorySpanExporter]


@pytest.fixture
def recorded() -> Recorded:
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider.get_tracer("shop"), exporter


def attributes_of(exporter: InMemorySpanExporter) -> list[tuple[str, dict[str, object]]]:
    [span] = exporter.get_finished_spans()
    return [(event.name, dict(event.attributes or {})) for event in span.events]


def test_an_evaluation_is_an_event_of_the_span_around_it(recorded: Recorded) -> None:
    tracer, exporter = recorded
    with tracer.start_as_current_span("price"):
        OpenTelemetryHook()(FlagEvaluation("new-price", True, "on", "ann", "production"))
    assert attributes_of(exporter) == [
        (
            "feature_flag.evaluation",
            {
                conventions.FEATURE_FLAG_KEY: "new-price",
                conventions.FEATURE_FLAG_PROVIDER_NAME: "rollout",
                conventions.FEATURE_FLAG_RESULT_VARIANT: "on",
                conventions.FEATURE_FLAG_RESULT_VALUE: True,
                conventions.FEATURE_FLAG_RESULT_REASON: "unknown",
                conventions.FEATURE_FLAG_SET_ID: "production",
            },
        )
    ]


def test_a_flag_that_is_not_known_is_an_error_by_its_type(recorded: Recorded) -> None:
    tracer, exporter = recorded
    with tracer.start_as_current_span("price"):
        OpenTelemetryHook()(FlagEvaluation("typo", False, "off", None, "staging", EvaluationReason.ERROR))
    [(_, found)] = attributes_of(exporter)
    assert (found["error.type"], found[conventions.FEATURE_FLAG_RESULT_REASON]) == ("flag_not_found", "error")


def test_a_users_id_is_in_it_only_where_that_was_asked_for(recorded: Recorded) -> None:
    tracer, exporter = recorded
    with tracer.start_as_current_span("price"):
        for hook in (OpenTelemetryHook(), OpenTelemetryHook(with_user_id=True)):
            hook(FlagEvaluation("new-price", True, "on", "ann", "production"))
    without, with_id = (found.get(conventions.FEATURE_FLAG_CONTEXT_ID) for _, found in attributes_of(exporter))
    assert (without, with_id) == (None, "ann")


def test_outside_of_a_span_nothing_happens(recorded: Recorded) -> None:
    _, exporter = recorded
    OpenTelemetryHook()(FlagEvaluation("new-price", True, "on", "ann", "production"))
    assert exporter.get_finished_spans() == ()
