"""How a flag was decided for a user, in the language of the page: by the code of each step, with its facts. Pure.

English is the trace's own sentence.
"""

from collections.abc import Mapping

from dashboards.delivered_texts import delivered
from dashboards.filters import first_sentence, moment, percentage
from dashboards.language import N_, SOURCE, gettext, language
from dashboards.stored_sentences import localized_text
from flags.evaluation.trace import ReasonCode, TraceStep, describe
from flags.explanation import NextStep, Sentences, next_sentence

SENTENCES: Mapping[ReasonCode, str] = {
    ReasonCode.SWITCH_OFF: N_("The environment variable of this process says off, which always wins."),
    ReasonCode.SWITCH_ON: N_("The environment variable of this process says on, which wins outside production."),
    ReasonCode.SWITCH_IGNORED: N_("The environment variable says on, which production ignores."),
    ReasonCode.SWITCH_UNSET: N_("No environment variable overrides the flag."),
    ReasonCode.ROLLED_BACK: N_("The rollout is rolled back: %(note)s"),
    ReasonCode.NOT_ROLLED_BACK: N_("The rollout is not rolled back here."),
    ReasonCode.GUARD_LEASE_EXPIRED: N_(
        "The guard has been silent since its lease ended at %(at)s, so nobody is exposed."
    ),
    ReasonCode.GUARD_LEASE_HELD: N_("The guard is watching."),
    ReasonCode.GUARD_LEASE_NOT_REQUIRED: N_("No guard is required here."),
    ReasonCode.DENIED: N_("This user is kept out by name: %(note)s"),
    ReasonCode.DENIAL_EXPIRED: N_("This user was kept out by name until %(at)s: %(note)s"),
    ReasonCode.NOT_DENIED: N_("Nobody keeps this user out by name."),
    ReasonCode.ALLOWED: N_("This user is let in by name: %(note)s"),
    ReasonCode.ALLOWANCE_EXPIRED: N_("This user was let in by name until %(at)s: %(note)s"),
    ReasonCode.NOT_ALLOWED: N_("Nobody lets this user in by name."),
    ReasonCode.ENVIRONMENT_ON: N_("The flag is on for everybody in this environment."),
    ReasonCode.ENVIRONMENT_CLOSED: N_("The flag is not on for everybody in this environment."),
    ReasonCode.BETA_MEMBER: N_("This user is on the beta allowlist."),
    ReasonCode.BETA_WAITING: N_("This user is on the beta allowlist, which is not open yet."),
    ReasonCode.BETA_CLOSED: N_("The beta is not open yet."),
    ReasonCode.NOT_BETA_MEMBER: N_("This user is not on the beta allowlist."),
    ReasonCode.NEW_SIGNUP_ALL: N_("This user signed up after %(at)s, and all new signups are in."),
    ReasonCode.NEW_SIGNUP_INSIDE: N_(
        "This user signed up after %(at)s, and bucket %(bucket)s is within %(percentage)s of new signups."
    ),
    ReasonCode.NEW_SIGNUP_WAITING: N_(
        "This user signed up after %(at)s, but bucket %(bucket)s is beyond %(percentage)s of new signups."
    ),
    ReasonCode.NEW_SIGNUPS_CLOSED: N_("The rollout has not opened to new signups yet."),
    ReasonCode.NOT_NEW_SIGNUP: N_("This user did not sign up after %(at)s."),
    ReasonCode.SIGNUP_DATE_MISSING: N_("The signup date is unknown, which does not count as new."),
    ReasonCode.ATTRIBUTES_ALL: N_("This user is one of the %(note)s, and all of those are in."),
    ReasonCode.ATTRIBUTES_INSIDE: N_(
        "This user is one of the %(note)s, and bucket %(bucket)s is within %(percentage)s of those."
    ),
    ReasonCode.ATTRIBUTES_WAITING: N_(
        "This user is one of the %(note)s, but bucket %(bucket)s is beyond %(percentage)s of those."
    ),
    ReasonCode.ATTRIBUTES_NEEDLESS: N_("Attributes no longer matter, because everyone is in."),
    ReasonCode.ATTRIBUTES_NOT_MET: N_("This user does not have the attributes that the rollout is open to."),
    ReasonCode.EVERYONE_ALL: N_("Everyone is in."),
    ReasonCode.EVERYONE_INSIDE: N_("Bucket %(bucket)s is within %(percentage)s of everyone."),
    ReasonCode.EVERYONE_WAITING: N_("Bucket %(bucket)s is beyond %(percentage)s of everyone."),
    ReasonCode.EVERYONE_CLOSED: N_("The rollout has not opened to everyone yet."),
    ReasonCode.NO_USER: N_("No user is named, so this rule can't apply."),
    ReasonCode.DEFAULT_OFF: N_("No rule let this user in, so the flag is off."),
    ReasonCode.ANONYMOUS: N_("No user is named, so the flag is off."),
}
UNTIL: Mapping[ReasonCode, str] = {
    ReasonCode.DENIED: N_("This user is kept out by name until %(at)s: %(note)s"),
    ReasonCode.ALLOWED: N_("This user is let in by name until %(at)s: %(note)s"),
}
"""What is said instead of an override that has an end."""


def trace_sentence(step: TraceStep) -> str:
    """Say what one rule answered; of a rollback's reason the first sentence, for the rollout's page has the others."""
    if step.detail is ReasonCode.ROLLED_BACK and step.note and ". " in step.note:
        step = step._replace(note=localized_text(first_sentence(step.note)))
    if language() == SOURCE:
        return describe(step)
    by_code = UNTIL if step.at is not None and step.detail in UNTIL else SENTENCES
    return gettext(
        by_code[step.detail],
        bucket=step.bucket,
        percentage="" if step.percentage is None else percentage(step.percentage),
        note=step.note,
        at=moment(step.at) if step.at else "",
    )


def code_sentence(text: str) -> str:
    """Say what `DEFAULT: default_off`, as the journal keeps it, means; a code that takes figures stands as it is."""
    code = text.rpartition(" ")[2]
    template = SENTENCES[ReasonCode(code)] if code in tuple(ReasonCode) else ""
    return gettext(template) if template and "%(" not in template else text


def step_sentence(step: NextStep) -> str:
    """Say what the next step changes for the user."""
    if language() == SOURCE:
        return next_sentence(step)
    if step.phase is None:
        return gettext("nothing until it is re-armed.") if step.is_latched else gettext("this is the last step.")
    values = {"phase": delivered(step.phase.title), "percentage": percentage(step.percentage)}
    match step.variant:
        case None:
            return gettext("%(phase)s, %(percentage)s, changes nothing for this user.", **values)
        case "on":
            return gettext("%(phase)s, %(percentage)s, switches it on for this user.", **values)
        case _:
            return gettext("%(phase)s, %(percentage)s, switches it off for this user.", **values)


OF_THE_PAGE = Sentences(trace_sentence, step_sentence)
