"""The measurements an alert may be written on: which signal feeds each, and what its evidence speaks of."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration


class Compare(StrEnum):
    """The ways to compare the counts of an alert."""

    ABSOLUTE = "absolute"
    """Bad outcomes among all outcomes, against the threshold."""
    PAIRED = "paired"
    """Requests that both implementations answered and answered differently, among all that both answered."""
    DRIFT = "drift"
    """By how much of what the control would charge the two charges differ, on average over all requests."""
    DISCORDANT = "discordant"
    """Requests that only the candidate failed, among those that just one side failed; the threshold is one half."""


class Unit(StrEnum):
    """The unit of a threshold."""

    RATIO = "ratio"
    DURATION = "duration"


@dataclass(frozen=True, slots=True)
class Metric:
    """A measurement. An `engine` limits it to what that engine decided, serving or shadowing."""

    signal: str
    unit: Unit = Unit.RATIO
    engine: str | None = None
    compare: Compare = Compare.ABSOLUTE
    control_twin: bool = False
    """The other engine answers the same requests, so a breach can be attributed to the candidate or to both."""
    served_only: bool = False
    """Each engine is counted where it serves alone, so a breach is held against what the control served."""
    has_cohorts: bool = False
    """Its outcomes name their cohorts, so the same evidence is gathered within each."""
    has_accounts: bool = False
    """Its outcomes, good and bad, name the account, so an alert may count accounts in place of operations."""
    certifies: bool = False
    """An advance needs evidence that this rate is below its threshold, not just no sign that it is above."""
    of_shadow: bool = False
    """It counts under the side that served what the other one, its shadow, did not answer."""
    engine_unknown: bool = False
    """Its outcomes don't say which engine they speak of: it holds, unless other counts blame the candidate."""
    control_apart: bool = False
    """Bad outcomes under the control's name are its own defects: no evidence against the candidate, and they hold."""
    notifies_only: bool = False
    """Callers' own doing shows here: an alert on it tells people, and nobody's retries end a rollout."""
    budget_setting: str | None = None
    """For what is bad once a budget is used up: the setting that says how much that is where no alert does."""


def metrics_of(migration: Migration) -> Mapping[str, Metric]:
    """Return the metrics that any migration has, over its own signals."""
    names, candidate = migration.signals, migration.candidate
    return {
        names.failure: Metric(
            names.failure, engine=candidate, control_twin=True, certifies=True, has_cohorts=True, has_accounts=True
        ),
        names.serving_failure: Metric(
            names.serving_failure,
            engine=candidate,
            control_twin=True,
            served_only=True,
            has_cohorts=True,
            has_accounts=True,
        ),
        names.slow: Metric(names.slow, Unit.DURATION, engine=candidate),
        names.difference: Metric(
            names.difference,
            compare=Compare.PAIRED,
            certifies=True,
            control_apart=True,
            has_cohorts=True,
            has_accounts=True,
        ),
        names.failure_discordant: Metric(names.failed_candidate_only, compare=Compare.DISCORDANT),
        names.shadow_skipped: Metric(names.shadow_skipped, engine=candidate, engine_unknown=True, of_shadow=True),
    }


CREDIT_METRICS = {
    **metrics_of(CREDITS),
    "credit_new_error_type": Metric("credit_new_error_type"),
    "credit_drift": Metric("credit_drift", compare=Compare.DRIFT, control_apart=True),
    "credit_refused_by_v2_only": Metric(
        "credit_refused_by_v2_only", compare=Compare.PAIRED, control_apart=True, has_cohorts=True, has_accounts=True
    ),
    "credit_allowed_by_v2_only": Metric(
        "credit_allowed_by_v2_only", compare=Compare.PAIRED, control_apart=True, has_accounts=True
    ),
    "credit_outcome_mismatch": Metric(
        "credit_outcome_mismatch", compare=Compare.PAIRED, control_apart=True, has_accounts=True
    ),
    "credit_slower_by_v2_only": Metric("credit_slower_by_v2_only", compare=Compare.PAIRED),
    "credits_at_risk": Metric("credits_at_risk", budget_setting="CREDITS_AT_RISK_MAX"),
    "credit_ledger_difference": Metric("credit_ledger_difference", control_apart=True),
    "credit_double_charge": Metric("credit_double_charge"),
    "credit_period_overlap": Metric("credit_period_overlap"),
}
"""What the credits count of their two engines: it speaks of their flag alone."""

METRICS = {
    **CREDIT_METRICS,
    "credit_api_slow": Metric("credit_api_slow", Unit.DURATION, engine_unknown=True),
    "credit_shadow_slow": Metric("credit_shadow_slow", Unit.DURATION, engine_unknown=True),
    "credit_status_slow": Metric("credit_status_slow", Unit.DURATION, engine_unknown=True),
    "credit_api_conflict": Metric("credit_api_conflict", notifies_only=True),
    "credit_retry": Metric("credit_retry", notifies_only=True),
    "api_error_rate": Metric("api_error_rate", engine_unknown=True),
    "api_database_unavailable": Metric("api_database_unavailable", engine_unknown=True),
    "billing_webhook_failure": Metric("billing_webhook_failure", engine_unknown=True),
    "billing_lag_slow": Metric("billing_lag_slow", Unit.DURATION, engine_unknown=True),
    "billing_dead_letter": Metric("billing_dead_letter", engine_unknown=True),
    "billing_signature_failure": Metric("billing_signature_failure", notifies_only=True),
    "billing_delivery_failure": Metric("billing_delivery_failure", notifies_only=True),
    "billing_period_differs": Metric("billing_period_differs", engine_unknown=True),
    "billing_waiting_long": Metric("billing_waiting_long", Unit.DURATION, engine_unknown=True),
    "billing_breaker_open": Metric("billing_breaker_open", engine_unknown=True),
    "billing_missed": Metric("billing_missed", engine_unknown=True),
    "billing_event_missed": Metric("billing_event_missed", notifies_only=True),
    "billing_refund": Metric("billing_refund", engine_unknown=True),
    "credit_reset_late": Metric("credit_reset_late", Unit.DURATION, engine_unknown=True),
    "credit_reset_skipped": Metric("credit_reset_skipped", engine_unknown=True),
    "plan_limits_late": Metric("plan_limits_late", Unit.DURATION, engine_unknown=True),
    "billing_applied_twice": Metric("billing_applied_twice"),
    "billing_reset_twice": Metric("billing_reset_twice"),
    "traffic_unusual": Metric("traffic_unusual", notifies_only=True),
    "schema_differs": Metric("schema_differs", engine_unknown=True),
    "database_query_slow": Metric("database_query_slow", Unit.DURATION, engine_unknown=True),
    "database_error": Metric("database_error", engine_unknown=True),
    "database_lock_failure": Metric("database_lock_failure", engine_unknown=True),
    "database_pool_saturated": Metric("database_pool_saturated", engine_unknown=True),
    "database_pool_wait_slow": Metric("database_pool_wait_slow", Unit.DURATION, engine_unknown=True),
    "credit_manual_correction": Metric("credit_manual_correction", engine_unknown=True),
    "credit_engine_flapping": Metric("credit_engine_flapping", engine_unknown=True),
    "flags_stale": Metric("flags_stale", Unit.DURATION, engine_unknown=True),
    "guard_lag": Metric("guard_lag", Unit.DURATION, engine_unknown=True),
    "notice_failure": Metric("notice_failure", engine_unknown=True),
    "alertmanager_refused": Metric("alertmanager_refused", engine_unknown=True),
}


def metrics_with(migrations: Iterable[Migration]) -> Mapping[str, Metric]:
    """Return the built-in metrics and those of `migrations`."""
    return {name: metric for each in migrations for name, metric in metrics_of(each).items()} | METRICS
