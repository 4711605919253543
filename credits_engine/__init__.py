"""Credits: two engines that answer every request, one journal, and both books posted together."""

from flask import Flask

from control_plane import rollouts
from control_plane.checklists.checks import register_check
from control_plane.experiments.credits import CREDITS, FLAG
from control_plane.experiments.registry import register_migration
from control_plane.rollouts import blast_radius, sample_ratio
from credits_engine import expiry_jobs
from credits_engine.administration import organisations, plan_catalogue, usage_rollup, usage_webhooks
from credits_engine.api import card, schemas
from credits_engine.api import operations as api
from credits_engine.billing import schedule
from credits_engine.billing import schemas as billing_schemas
from credits_engine.billing.checks import webhooks_check
from credits_engine.billing.entitlements.sync import sync_account
from credits_engine.erasure import api as erasure_api
from credits_engine.erasure import schemas as erasure_schemas
from credits_engine.erasure.service import erase_again
from credits_engine.load_test.check import load_test_check
from credits_engine.migration import advance_check_job, advance_gate, backups, checks, restore, restore_test
from credits_engine.operations import account_books, execution
from credits_engine.reconciliation import engine_flapping, invariants, new_error_types, scheduled
from credits_engine.remediation import jobs as remediation
from credits_engine.remediation import queries
from credits_engine.store import guard_queries


def init_app(app: Flask) -> None:
    """Mount the credits on the application."""
    register_migration(CREDITS)
    execution.init_app(app)
    account_books.ACCOUNT_SYNC.set(app, sync_account)
    api.init_app(app)
    # Before the prices, which may buy plans that are data too.
    plan_catalogue.init_app(app)
    schedule.init_app(app)
    app.register_blueprint(card.bp)
    organisations.init_app(app)
    expiry_jobs.init_app(app)
    scheduled.init_app(app)
    invariants.init_app(app)
    engine_flapping.init_app(app)
    new_error_types.init_app(app)
    advance_check_job.init_app(app)
    usage_rollup.init_app(app)
    usage_webhooks.init_app(app)
    backups.init_app(app)
    remediation.init_app(app)
    schemas.init_app(app)
    billing_schemas.init_app(app)
    app.register_blueprint(erasure_api.bp)
    erasure_schemas.init_app(app)
    restore.ERASE_AGAIN.set(app, erase_again)
    _register_with_rollouts()
    _register_checks()


def _register_with_rollouts() -> None:
    """Register all that a rollout asks the credits: before an advance, and of what v2 has served."""
    rollouts.register_gate(advance_gate.GATE, advance_gate.gate)
    rollouts.register_last_run("restore_test", restore_test.last_run)
    blast_radius.register_impact_query(FLAG, guard_queries.impact)
    blast_radius.register_compensation_query(FLAG, queries.compensation_due)
    sample_ratio.register_ratio_query(guard_queries.sample_ratio)


def _register_checks() -> None:
    """Register what checklists may ask the credits."""
    register_check("books", checks.books_check)
    register_check("credit-functions", checks.functions_check, of_production=False)
    register_check("webhooks", webhooks_check)
    register_check("everybody-migrated", checks.everybody_check, every=checks.LONG)
    register_check("legacy-may-retire", checks.retirement_check)
    register_check("load-test", load_test_check)
    register_check("restore-test", checks.restore_test_check, of_production=False)
