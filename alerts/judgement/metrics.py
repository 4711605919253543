"""The measurements an alert may be written on: which signal feeds each, and what its evidence speaks of."""

from dataclasses import dataclass
from enum import StrEnum


class Compare(StrEnum):
    """How an alert reads its counts."""

    ABSOLUTE = "absolute"
    """Bad outcomes among all outcomes, against the threshold."""
    PAIRED = "paired"
    """Requests that both engines answered and answered differently, among all that both answered."""
    DRIFT = "drift"
    """By how much of what legacy would charge the two charges differ, on average over all requests."""
    DISCORDANT = "discordant"
    """Requests that only v2 failed, among those that just one of the engines failed; the threshold is one half."""


class Unit(StrEnum):
    """What a threshold is written in."""

    RATIO = "ratio"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement. An `engine` limits it to what that engine decided, serving or shadowing."""

    signal: str
    unit: Unit = Unit.RATIO
    engine: str | None = None
    compare: Compare = Compare.ABSOLUTE
    legacy_twin: bool = False
    """The other engine answers the same requests, so a breach can be attributed to v2 or to both."""
    certifies: bool = False
    """An advance needs evidence that this rate is below its threshold, not just no sign that it is above."""
    notifies_only: bool = False
    """What callers do shows here whatever v2 does: an alert on it tells people, and nobody's retries end a rollout."""
    budget_setting: str | None = None
    """For what is bad once a budget is used up: the setting that says how much that is where no alert does."""


FAILED_V2_ONLY = "credit_failure_v2_only"
FAILED_LEGACY_ONLY = "credit_failure_legacy_only"

METRICS = {
    "credit_consumption_failure": Metric("credit_consumption_failure", engine="v2", legacy_twin=True, certifies=True),
    "credit_error_new_in_v2": Metric("credit_error_new_in_v2"),
    "credit_consumption_slow": Metric("credit_consumption_slow", Unit.DURATION, engine="v2"),
    "credit_api_slow": Metric("credit_api_slow", Unit.DURATION),
    "credit_variance": Metric("credit_variance", compare=Compare.PAIRED, certifies=True),
    "credit_drift": Metric("credit_drift", compare=Compare.DRIFT),
    "credit_failure_discordant": Metric(FAILED_V2_ONLY, compare=Compare.DISCORDANT),
    "credit_shadow_slow": Metric("credit_shadow_slow", Unit.DURATION),
    "credit_status_slow": Metric("credit_status_slow", Unit.DURATION),
    "credit_refused_by_v2_only": Metric("credit_refused_by_v2_only", compare=Compare.PAIRED),
    "credit_allowed_by_v2_only": Metric("credit_allowed_by_v2_only", compare=Compare.PAIRED),
    "credit_answer_differs": Metric("credit_answer_differs", compare=Compare.PAIRED),
    "credit_api_conflict": Metric("credit_api_conflict", notifies_only=True),
    "credit_repeated": Metric("credit_repeated", notifies_only=True),
    "credit_unshadowed": Metric("credit_unshadowed", engine="v2"),
    "credits_at_risk": Metric("credits_at_risk", budget_setting="CREDITS_AT_RISK_MAX"),
    "credit_ledger_difference": Metric("credit_ledger_difference"),
    "credit_double_charge": Metric("credit_double_charge"),
    "api_error_rate": Metric("api_error_rate"),
    "billing_webhook_failure": Metric("billing_webhook_failure"),
    "billing_lag_slow": Metric("billing_lag_slow", Unit.DURATION),
    "billing_dead_letter": Metric("billing_dead_letter"),
    "billing_signature_failure": Metric("billing_signature_failure"),
    "billing_period_differs": Metric("billing_period_differs"),
    "billing_waiting_long": Metric("billing_waiting_long", Unit.DURATION),
    "billing_breaker_open": Metric("billing_breaker_open"),
    "billing_missed": Metric("billing_missed"),
    "billing_refund": Metric("billing_refund"),
    "credit_reset_late": Metric("credit_reset_late", Unit.DURATION),
    "credit_reset_skipped": Metric("credit_reset_skipped"),
    "plan_limits_late": Metric("plan_limits_late", Unit.DURATION),
    "billing_applied_twice": Metric("billing_applied_twice"),
    "billing_reset_twice": Metric("billing_reset_twice"),
    "schema_differs": Metric("schema_differs"),
    "database_query_slow": Metric("database_query_slow", Unit.DURATION),
    "database_error": Metric("database_error"),
    "database_lock_failure": Metric("database_lock_failure"),
    "database_pool_crowded": Metric("database_pool_crowded"),
    "database_pool_wait_slow": Metric("database_pool_wait_slow", Unit.DURATION),
    "credit_period_overlap": Metric("credit_period_overlap"),
    "credit_manual_correction": Metric("credit_manual_correction"),
    "credit_engine_moved": Metric("credit_engine_moved"),
    "flags_stale": Metric("flags_stale", Unit.DURATION),
    "guard_late": Metric("guard_late", Unit.DURATION),
    "notice_failure": Metric("notice_failure"),
    "alertmanager_refused": Metric("alertmanager_refused"),
}
