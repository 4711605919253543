"""What an alert found, as a sentence for people who read no logs: in page, notification, audit trail and CLI. Pure."""

from collections.abc import Mapping

from alerts.analysis.attribution import Attribution
from alerts.analysis.environments import base_alert
from alerts.analysis.rules import Per
from alerts.analysis.verdicts import Status, Verdict
from control_plane.experiments.migration import Migration, side_names
from control_plane.signal_counts import Counts

PHRASES: Mapping[str, str] = {
    "credit_drift": "{candidate} charges {rate} more or less than {control} on average",
    "credit_refused_by_v2_only": "{candidate} refused {bad} of {total} operations that {control} grants",
    "credit_allowed_by_v2_only": "{candidate} granted {bad} of {total} operations that {control} refuses",
    "credit_outcome_mismatch": "{candidate} and {control} gave opposite answers to {bad} of {total} operations",
    "credit_slower_by_v2_only": "{candidate} was slower than {control} in {bad} of {total} operations",
    "credit_ledger_difference": "A book differs from the journal",
    "credit_double_charge": "An operation was charged twice",
    "credits_at_risk": "{candidate} charged differently from {control} by more credits than may be at stake",
    "billing_applied_twice": "What Stripe told had its effect twice",
    "billing_reset_twice": "Credits were reset twice in one billing period",
    "billing_webhook_failure": "{bad} of {total} webhooks of Stripe failed",
    "traffic_unusual": "An hour had more than twice, or less than half, the operations of the same hour of other weeks",
    "api_error_rate": "{bad} of {total} requests failed",
    "api_database_unavailable": "The database did not answer {bad} of {total} requests",
    "database_query_slow": "{bad} of {total} statements of the database were too slow",
    "credit_status_slow": "{bad} of {total} readings of a user's credits were too slow",
    "credit_api_slow": "{bad} of {total} requests for credits were too slow",
    "credit_shadow_skipped": "{control} gave no answer to {bad} of {total} operations that {candidate} served",
}
WINDOW_OUTCOMES_MIN = 10
"""At four requests a minute a window holds one or two: "1 of 1" would say too much."""
USERS = "{alert} is over its threshold: it was bad for {bad} of {total} users"
BY_ITSELF = "{alert} is over its threshold: {bad} of {total} were bad"


def is_incident(verdict: Verdict) -> bool:
    """Return whether the candidate did something wrong, rather than that nobody counts or that the control fails."""
    blamed = verdict.attribution in (Attribution.CANDIDATE_ONLY, Attribution.UNKNOWN)
    return blamed and verdict.status in (Status.HOLD, Status.ROLLBACK) and bool(incident_counts(verdict).bad)


def incident_sentence(verdict: Verdict, migration: Migration | None) -> str:
    """Say what was wrong, in how many of how many, and in whose name; the figures behind it are in the verdict."""
    if verdict.cohort:
        return verdict.cohort
    phrase, names = _phrase(verdict, migration), side_names(migration)
    counts = incident_counts(verdict)
    sentence = phrase.format(
        alert=verdict.alert,
        candidate=names.candidate,
        control=names.control,
        bad=f"{counts.bad:,}",
        total=f"{counts.total:,}",
        rate=f"{counts.rate * 100:.3g} %",
    )
    return f"{sentence}."


def _phrase(verdict: Verdict, migration: Migration | None) -> str:
    alert = base_alert(verdict.alert)
    if verdict.per is Per.ACCOUNT:
        return _phrases_by_account(migration).get(alert, USERS) if migration else USERS
    of_migration = _phrases_of(migration) if migration else {}
    return of_migration.get(alert) or PHRASES.get(alert, BY_ITSELF)


def _phrases_by_account(migration: Migration) -> Mapping[str, str]:
    names = migration.base_signals
    return {
        names.failure: "{candidate} failed operations of {bad} of {total} users",
        names.serving_failure: "{candidate} failed {bad} of the {total} users whom it served",
        names.difference: "{candidate} answered {bad} of {total} users differently from {control}",
        "credit_refused_by_v2_only": "{candidate} refused {bad} of {total} users what {control} grants",
    }


def _phrases_of(migration: Migration) -> Mapping[str, str]:
    names = migration.base_signals
    return {
        names.failure: "{candidate} failed {bad} of {total} operations",
        names.serving_failure: "{candidate} failed {bad} of the {total} operations that it served",
        names.difference: "{candidate} answered {bad} of {total} operations differently from {control}",
        names.failure_discordant: "{candidate} failed {bad} of {total} operations that one side alone failed",
        names.slow: "{candidate} was too slow in {bad} of {total} operations",
    }


def incident_counts(verdict: Verdict) -> Counts:
    """Return the window, where it holds something bad among enough to speak of; else all since the attempt began."""
    return verdict.window if verdict.window.bad and verdict.window.total >= WINDOW_OUTCOMES_MIN else verdict.counts
