"""Evaluations as events on the current span, by OpenTelemetry's semantic conventions; needs opentelemetry-api.

flags = flags.client.connect(url, token, hooks=[OpenTelemetryHook()])
"""

from opentelemetry import trace
from opentelemetry.util.types import AttributeValue

from flags.client.hooks import EvaluationReason, FlagEvaluation

EVENT = "feature_flag.evaluation"
PROVIDER = "rollout"
NOT_FOUND = "flag_not_found"


class OpenTelemetryHook:
    """Adds an event to the span that is being recorded; without one it does nothing.

    Who was asked for stays out of it unless `with_user_id` says that traces may hold users' ids.
    """

    def __init__(self, *, with_user_id: bool = False) -> None:
        self._with_user_id = with_user_id

    def __call__(self, evaluation: FlagEvaluation) -> None:
        """Record one evaluation."""
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(EVENT, self._attributes(evaluation))

    def _attributes(self, evaluation: FlagEvaluation) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {
            "feature_flag.key": evaluation.flag,
            "feature_flag.provider.name": PROVIDER,
            "feature_flag.result.variant": evaluation.variant,
            "feature_flag.result.value": evaluation.value,
            "feature_flag.result.reason": evaluation.reason.value,
            "feature_flag.set.id": evaluation.environment,
        }
        if evaluation.reason is EvaluationReason.ERROR:
            attributes["error.type"] = NOT_FOUND
        if self._with_user_id and evaluation.user_id is not None:
            attributes["feature_flag.context.id"] = evaluation.user_id
        return attributes
