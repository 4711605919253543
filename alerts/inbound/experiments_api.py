"""Results of migrations that services run themselves: `flags.client` reports them, the guard judges them."""

from collections.abc import Mapping

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
from control_plane.platform.auth.authorization import actor, require_own_environment, require_token, token
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.extensions import AppState
from control_plane.platform.identity_types import EVERY
from control_plane.platform.observability import signals
from control_plane.platform.observability.cohort_counts import KnownCohorts
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current
from control_plane.rollout_names import PRODUCTION, rollout_name
from control_plane.rollouts import store as rollout_store
from control_plane.signal_names import in_environment

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
@require_token("service", "admin", any_environment=True)
def post(name: str) -> ResponseReturnValue:
    """Count a batch of results for the guard of the flag; sent again, it counts nothing.

    The environment of the token says where they come from. Where the flag has a rollout of its own there, they are
    evidence of that one alone; else of the flag's, and then only from the environment of this server.
    """
    environment = _counted_apart(name)
    migration = _declared(name)
    flag, names = rollout_name(migration.flag, environment), _names(migration, environment)
    report = ExperimentReport.model_validate(request.get_json())
    sender, now = actor(), clock.now()
    if not LIMITER.get().hit(RESULTS, sender, cost=max(1, len(report.results))):
        detail = f"{sender} reports more than {RESULTS.amount:,} results a minute; report a share of them."
        raise Problem(429, "TOO_MANY_RESULTS", detail, headers={"Retry-After": str(RETRY_SECONDS)})
    slow_seconds = signals.bound_seconds(migration.signals.slow, SLOW_SECONDS)
    with transaction() as session:
        fresh = store.remember_batch(session, f"{sender} {migration.flag}", report.batchId, now=now)
        if fresh:
            samples = samples_of(migration, report, slow_seconds=slow_seconds)
            known = KNOWN.get().setdefault(flag, KnownCohorts())
            lost = lost_counts(migration, report.lost)
            signals.add_samples(session, samples, lost, now, known=known, names=names)
    if fresh and (number := report.lost.control + report.lost.candidate):
        log.warning("experiments.results_lost", flag=flag, sender=sender, lost=number)
    return jsonify(counted=fresh), 202


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)


def _counted_apart(flag: str) -> str | None:
    """Return the environment of this token if `flag` has a rollout of its own there; else it has to be this server's.

    Raises a 403 Problem.
    """
    held = token()
    environment = current().environment if held.environment == EVERY else held.environment
    if environment != PRODUCTION:
        with read_only() as session:
            if rollout_store.load(session, rollout_name(flag, environment)):
                return environment
    require_own_environment(held)
    return None


def _names(migration: Migration, environment: str | None) -> Mapping[str, str]:
    if environment is None:
        return signals.AS_THEY_ARE
    return {signal: in_environment(signal, environment) for signal in migration.signals.all}


def _declared(flag: str) -> Migration:
    found = next((each for each in declared_migrations() if each.flag == flag), None)
    if found is not None:
        return found
    if migration_of(flag):
        raise Problem(422, "RESERVED_SIGNAL", f"{flag} is measured by this program itself; nobody else reports it.")
    detail = f"No migration of {flag[:100]!r} is declared; name its implementations under migrations in alerts.yaml."
    raise Problem(404, "UNKNOWN_MIGRATION", detail)
