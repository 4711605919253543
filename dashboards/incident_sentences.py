"""What an alert found, in the language of the page: by the alert, with the counts of its verdict. Pure.

English is the guard's own sentence. What is about a part of the traffic alone stands as the guard wrote it.
"""

from collections.abc import Mapping

from alerts.analysis.environments import base_alert
from alerts.analysis.incident import incident_counts
from alerts.analysis.incident import incident_sentence as written
from alerts.analysis.rules import Per
from alerts.analysis.verdicts import Verdict
from control_plane.experiments.migration import Migration
from dashboards.filters import count, plain, share
from dashboards.language import N_, SOURCE, gettext, language
from dashboards.side_names import localized_names

SENTENCES: Mapping[str, str] = {
    "credit_drift": N_("%(candidate)s charges %(rate)s more or less than %(control)s on average."),
    "credit_refused_by_v2_only": N_("%(candidate)s refused %(bad)s of %(total)s operations that %(control)s grants."),
    "credit_allowed_by_v2_only": N_("%(candidate)s granted %(bad)s of %(total)s operations that %(control)s refuses."),
    "credit_outcome_mismatch": N_(
        "%(candidate)s and %(control)s gave opposite answers to %(bad)s of %(total)s operations."
    ),
    "credit_slower_by_v2_only": N_("%(candidate)s was slower than %(control)s in %(bad)s of %(total)s operations."),
    "credit_ledger_difference": N_("A book differs from the journal."),
    "credit_double_charge": N_("An operation was charged twice."),
    "credits_at_risk": N_("%(candidate)s charged differently from %(control)s by more credits than may be at stake."),
    "billing_applied_twice": N_("What Stripe told had its effect twice."),
    "billing_reset_twice": N_("Credits were reset twice in one billing period."),
    "billing_webhook_failure": N_("%(bad)s of %(total)s webhooks of Stripe failed."),
    "traffic_unusual": N_(
        "An hour had more than twice, or less than half, the operations of the same hour of other weeks."
    ),
    "api_error_rate": N_("%(bad)s of %(total)s requests failed."),
    "api_database_unavailable": N_("The database did not answer %(bad)s of %(total)s requests."),
    "database_query_slow": N_("%(bad)s of %(total)s statements of the database were too slow."),
    "credit_status_slow": N_("%(bad)s of %(total)s readings of a user's credits were too slow."),
    "credit_api_slow": N_("%(bad)s of %(total)s requests for credits were too slow."),
    "credit_shadow_skipped": N_(
        "%(control)s gave no answer to %(bad)s of %(total)s operations that %(candidate)s served."
    ),
}
USERS = N_("It is over its threshold: it was bad for %(bad)s of %(total)s users.")
BY_ITSELF = N_("It is over its threshold: %(bad)s of %(total)s were bad.")

OF_MIGRATIONS = (
    N_("%(candidate)s failed %(bad)s of %(total)s operations."),
    N_("%(candidate)s failed %(bad)s of the %(total)s operations that it served."),
    N_("%(candidate)s answered %(bad)s of %(total)s operations differently from %(control)s."),
    N_("%(candidate)s failed %(bad)s of %(total)s operations that one side alone failed."),
    N_("%(candidate)s was too slow in %(bad)s of %(total)s operations."),
)
"""Of what each migration has signals for: failure, failure where it serves, difference, failure alone, slowness."""


def incident_sentence(verdict: Verdict, migration: Migration | None) -> str:
    """Say of which alert, what was wrong, in how many of how many, and in whose name."""
    if language() == SOURCE or verdict.cohort:
        return f"{plain(verdict.alert)}: {written(verdict, migration)}"
    counts, names = incident_counts(verdict), localized_names(migration)
    found = gettext(
        _sentence(verdict, migration),
        candidate=names.candidate,
        control=names.control,
        bad=count(counts.bad),
        total=count(counts.total),
        rate=share(counts.rate),
    )
    return f"{plain(verdict.alert)}: {found}"


def _sentence(verdict: Verdict, migration: Migration | None) -> str:
    if verdict.per is Per.ACCOUNT:
        return USERS
    alert, of_migration = base_alert(verdict.alert), _of_migration(migration) if migration else {}
    return of_migration.get(alert) or SENTENCES.get(alert, BY_ITSELF)


def _of_migration(migration: Migration) -> Mapping[str, str]:
    names = migration.base_signals
    signals = names.failure, names.serving_failure, names.difference, names.failure_discordant, names.slow
    return dict(zip(signals, OF_MIGRATIONS, strict=True))
