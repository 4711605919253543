"""The checklists of the Credits v2 rollout guide, which the plan of a new installation has. Pure data."""

from dataclasses import replace
from datetime import datetime, timedelta

from control_plane.core.checklist import Checklist, ChecklistItem
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Plan

Item = ChecklistItem
EACH_PHASE = ("beta", "new-signups", "everyone")

PREPARATION = Checklist(
    "preparation",
    "Before anybody in production has it",
    phases=("development",),
    once=True,
    items=(
        Item("migration-applied", "The database migration is applied", "schema"),
        Item("backfill-verified", "The backfill has run, and both books agree with the journal", "books"),
        Item("functions-present", "The database functions of the credits are there", "credit-functions"),
        Item("load-test", "The database was tested with the expected load", "load-test:30"),
        Item("backend-deployed", "The services run with the code of Credits v2"),
        Item("card-deployed", "The front end shows the credits card"),
        Item("routes-answer", "The routes of the users' credits answer", "route:/api/user/credits/status"),
        Item("middleware-tested", "requireAnalysisCredits and requireRoastCredits were tried in the product"),
        Item("consumption-alert", "An alert watches credit consumption", "alert:credit_consumption_failure"),
        Item("billing-cycle-alert", "An alert watches billing cycles", "alert:billing_reset_twice"),
        Item("webhook-alert", "An alert watches the processing of Stripe's webhooks", "alert:billing_webhook_failure"),
        Item("api-alerts", "Alerts watch API errors and response times", "alert:api_error_rate,credit_status_slow"),
        Item("somebody-is-told", "Somebody is told when the guard acts", "notification-target"),
        Item("unit-tests", "All unit tests pass"),
        Item("integration-tests", "The integration tests pass"),
        Item("end-to-end-tests", "The end-to-end scenarios were tested"),
        Item("rollback-tested", "A rollback was tried on this installation", "guard-drill:30"),
        Item("restore-tested", "A backup was restored in a test", "restore-test:30"),
    ),
)
VALIDATIONS = (
    Checklist(
        "development-validation",
        "Validation of development and staging",
        phases=("development",),
        items=(
            Item("backfill-dry-run", "The backfill was run with --dry-run"),
            Item("credits-tests", "The tests of the credits pass"),
            Item("status-verified", "The status of a user's credits was looked at in staging"),
            Item("components-tested", "The components were tried in the dashboard"),
        ),
    ),
    Checklist(
        "beta-validation",
        "Validation of the internal beta",
        phases=("beta",),
        items=(
            Item("consumption-patterns", "What the team consumes looks as it should"),
            Item("billing-cycle-reset", "Credits were reset at the end of a billing cycle"),
            Item("upgrade-and-downgrade", "An upgrade and a downgrade had their effect"),
            Item("webhooks", "Stripe's webhooks come in and are processed", "webhooks:7"),
        ),
    ),
    Checklist(
        "new-signups-validation",
        "Validation of the limited production",
        phases=("new-signups",),
        items=(
            Item("error-rates", "Errors are below their threshold", "below:credit_consumption_failure,api_error_rate"),
            Item("accuracy", "v2 charges as legacy does", "below:credit_variance,credit_drift"),
            Item("billing-stability", "Billing is stable", "below:billing_webhook_failure"),
        ),
    ),
    Checklist(
        "everyone-validation",
        "Validation of the full rollout",
        phases=("everyone",),
        items=(
            Item("stability", "No alert stands against it", "below"),
            Item("everybody-migrated", "Every user is served by v2 and has a running period", "everybody-migrated"),
            Item("performance", "Response times were compared with those from before"),
        ),
    ),
)
SUCCESS = Checklist(
    "success-criteria",
    "Success criteria of the phase",
    phases=EACH_PHASE,
    items=(
        Item("no-loss", "No credit is lost or wrong: both books agree with the journal", "books"),
        Item("response-times", "Response times are as agreed", "below:credit_status_slow,credit_api_slow"),
        Item("errors-below", "Every rate of errors is below its threshold", "below"),
        Item("tests-pass", "All tests pass"),
        Item("patterns", "Consumption matches what was expected"),
        Item("billing-accuracy", "Invoices and credits agree"),
        Item("user-experience", "Users are no worse off"),
        Item("support-tickets", "Support has no more tickets than usual"),
        Item("monitoring", "Alerts and notifications work", "notification-target"),
        Item("rollback-procedure", "A rollback was tried on this installation", "guard-drill:30"),
        Item("documentation", "The documentation is complete"),
        Item("training", "The team knows the new system"),
    ),
)
AFTER_CARE = (
    Checklist(
        "week-1",
        "Week 1 after the full rollout",
        after_complete=timedelta(days=7),
        items=(
            Item("metrics", "The metrics were looked at every day"),
            Item("tickets", "Tickets about credits were reviewed"),
            Item("billing-cycle", "Billing was right over a first full cycle"),
            Item("optimization", "What was slow was made faster, where needed"),
        ),
    ),
    Checklist(
        "month-1",
        "Month 1 after the full rollout",
        after_complete=timedelta(days=30),
        items=(
            Item("patterns", "What is consumed was analysed"),
            Item("queries", "Slow queries were optimized, where needed"),
            Item("plan-limits", "The limits of the plans were reviewed"),
            Item("deprecation-planned", "The end of the legacy system is planned"),
        ),
    ),
    Checklist(
        "month-3",
        "Month 3: the end of the legacy system",
        after_complete=timedelta(days=90),
        items=(
            Item("may-retire", "Nothing keeps legacy from being retired", "legacy-may-retire"),
            Item("code-removed", "The legacy code is removed"),
            Item("tables-archived", "Old tables are archived"),
            Item("documentation", "The documentation is up to date"),
            Item("monitoring-archived", "Old monitoring is archived"),
        ),
    ),
)


CONTACTS = (
    "Technical Lead: Development Team",
    "Product Owner: Product Team",
    "DevOps: Infrastructure Team",
    "Support: Customer Success Team",
)


def guide_plan(new_signups_after: datetime) -> Plan:
    """Return the guide's four phases with its checklists and contacts."""
    checklists = (PREPARATION, *VALIDATIONS, SUCCESS, *AFTER_CARE)
    return replace(default_plan(new_signups_after), checklists=checklists, contacts=CONTACTS)
