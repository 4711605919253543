"""The texts of the plans that we deliver: titles of phases, checklists and items, and what templates are for. Pure.

They are data, so whoever plans may write others: a text that is not ours stands as it was written.
"""

from dashboards.filters import NARROW
from dashboards.language import N_, gettext_of

DELIVERED = frozenset(
    (
        # phases
        N_("Development and staging"),
        N_("Beta allowlist"),
        N_("New signups first"),
        N_("New signups"),
        N_("Everyone"),
        # templates
        N_("Development and staging, beta, new signups, everyone: the guide's four weeks."),
        N_("On for everyone in one step, to be rolled back in one."),
        N_("Everyone, from 1 % to 100 %, a day for each step."),
        N_("Those who sign up from now on, and nobody else."),
        N_("One region after the other by the attribute `region`, then everyone."),
        N_("A week in shadow while nobody in production is served, then in small steps that the guard may take back."),
        # checklists and their items
        N_("The database migration is applied"),
        N_("The backfill has run, and both books agree with the journal"),
        N_("The database functions of the credits are there"),
        N_("The database was tested with the expected load"),
        N_("The services run with the code of Credits v2"),
        N_("The front end shows the credits card"),
        N_("The routes of the users' credits answer"),
        N_("requireAnalysisCredits and requireRoastCredits were tried in the product"),
        N_("An alert watches credit consumption"),
        N_("An alert watches billing cycles"),
        N_("An alert watches the processing of Stripe's webhooks"),
        N_("Alerts watch API errors and response times"),
        N_("Somebody is told when the guard acts"),
        N_("All unit tests pass"),
        N_("The integration tests pass"),
        N_("The end-to-end scenarios were tested"),
        N_("A rollback was tried on this installation"),
        N_("A backup was restored in a test"),
        N_("The backfill was run with --dry-run"),
        N_("The tests of the credits pass"),
        N_("The status of a user's credits was looked at in staging"),
        N_("The components were tried in the dashboard"),
        N_("What the team consumes looks as it should"),
        N_("Credits were reset at the end of a billing cycle"),
        N_("An upgrade and a downgrade had their effect"),
        N_("Stripe's webhooks come in and are processed"),
        N_("Errors are below their threshold"),
        N_("v2 charges as legacy does"),
        N_("Billing is stable"),
        N_("No alert stands against it"),
        N_("Every user is served by v2 and has a running period"),
        N_("Response times were compared with those from before"),
        N_("No credit is lost or wrong: both books agree with the journal"),
        N_("Response times are as agreed"),
        N_("Every rate of errors is below its threshold"),
        N_("All tests pass"),
        N_("Consumption matches what was expected"),
        N_("Invoices and credits agree"),
        N_("Users are no worse off"),
        N_("Support has no more tickets than usual"),
        N_("Alerts and notifications work"),
        N_("The documentation is complete"),
        N_("The team knows the new system"),
        N_("The metrics were looked at every day"),
        N_("Tickets about credits were reviewed"),
        N_("Billing was right over a first full cycle"),
        N_("What was slow was made faster, where needed"),
        N_("What is consumed was analysed"),
        N_("Slow queries were optimized, where needed"),
        N_("The limits of the plans were reviewed"),
        N_("The end of the legacy system is planned"),
        N_("Nothing keeps legacy from being retired"),
        N_("The legacy code is removed"),
        N_("Old tables are archived"),
        N_("The documentation is up to date"),
        N_("Old monitoring is archived"),
        N_("Before anybody in production has it"),
        N_("Validation of development and staging"),
        N_("Validation of the internal beta"),
        N_("Validation of the limited production"),
        N_("Validation of the full rollout"),
        N_("Success criteria of the phase"),
        N_("Week 1 after the full rollout"),
        N_("Month 1 after the full rollout"),
        N_("Month 3: the end of the legacy system"),
        # contacts
        N_("Technical Lead: Development Team"),
        N_("Product Owner: Product Team"),
        N_("DevOps: Infrastructure Team"),
        N_("Support: Customer Success Team"),
    )
)


def delivered(text: str) -> str:
    """Return a text of a plan in the language of the page, where it is one of ours."""
    return gettext_of(text).replace(" %", f"{NARROW}%") if text in DELIVERED else text
