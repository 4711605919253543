"""Results of migrations that services run themselves: `flags.client` reports them, the guard judges them."""

import structlog
from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from limits import RateLimitItem, parse
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from alerts.inbound import store
from alerts.inbound.experiment_report import ExperimentReport, lost_counts, samples_of
from control_plane.experiments.migration import Migration
from control_plane.experiments.publication import SLOW_SECONDS
from control_plane.experiments.registry import declared_migrations, migration_of
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_token
from control_plane.platform.db.database import transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import signals
from control_plane.platform.observability.cohort_counts import KnownCohorts
from control_plane.platform.problems import Problem

RESULTS: RateLimitItem = parse("120000/minute")
"""Of one token and process: two thousand a second, which is more than a flood needs to be told."""
RETRY_SECONDS = 10
KNOWN = AppState[dict[str, KnownCohorts]]("reported_cohorts", dict)
"""By flag: no service can take the places of another one's cohorts, or of the credits'."""
LIMITER = AppState[FixedWindowRateLimiter]("experiment_results", lambda: FixedWindowRateLimiter(MemoryStorage()))

bp = Blueprint("experiments", __name__)
log = structlog.get_logger()


@bp.get("/api/experiments")
@require_token("service", "admin")
def index() -> ResponseReturnValue:
    """List the migrations that services report."""
    return jsonify(
        experiments=[
            {"flag": each.flag, "control": each.control, "candidate": each.candidate, "signals": [*each.signals.all]}
            for each in declared_migrations()
        ]
    )


@bp.post("/api/experiments/<name>/results")
@require_token("service", "admin")
def post(name: str) -> ResponseReturnValue:
    """Count a batch of results for the guard of the flag; sent again, it counts nothing."""
    migration = _declared(name)
    flag = migration.flag
    report = ExperimentReport.model_validate(request.get_json())
    sender, now = actor(), clock.now()
    if not LIMITER.get().hit(RESULTS, sender, cost=max(1, len(report.results))):
        detail = f"{sender} reports more than {RESULTS.amount:,} results a minute; report a share of them."
        raise Problem(429, "TOO_MANY_RESULTS", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    slow_seconds = signals.bound_seconds(migration.signals.slow, SLOW_SECONDS)
    with transaction() as session:
        fresh = store.remember_batch(session, f"{sender} {flag}", report.batchId, now=now)
        if fresh:
            samples = samples_of(migration, report, slow_seconds=slow_seconds)
            known = KNOWN.get().setdefault(flag, KnownCohorts())
            signals.add_samples(session, samples, lost_counts(migration, report.lost), now, known=known)
    if fresh and (lost := report.lost.control + report.lost.candidate):
        log.warning("experiments.results_lost", flag=flag, sender=sender, lost=lost)
    return jsonify(counted=fresh), 202


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _declared(flag: str) -> Migration:
    found = next((each for each in declared_migrations() if each.flag == flag), None)
    if found is not None:
        return found
    if migration_of(flag):
        raise Problem(422, "RESERVED_SIGNAL", f"{flag} is measured by this program itself; nobody else reports it.")
    detail = f"No migration of {flag[:100]!r} is declared; name its implementations under migrations in alerts.yaml."
    raise Problem(404, "UNKNOWN_MIGRATION", detail)
