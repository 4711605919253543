"""The trace of an evaluation: the outcome of each rule, and the sentence for each reason code.

Notes are made on the hot path, so they hold facts only; `describe` writes the sentences for those who ask.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple


class Rule(StrEnum):
    """Every rule of an evaluation, in the order in which they are asked."""

    ENVIRONMENT_VARIABLE = "environment_variable"
    ROLLBACK_LATCH = "rollback_latch"
    GUARD_LEASE = "guard_lease"
    DENIED = "denied"
    ALLOWED = "allowed"
    ENVIRONMENT = "environment"
    BETA = "beta"
    NEW_SIGNUPS = "new_signups"
    ATTRIBUTES = "attributes"
    EVERYONE = "everyone"
    DEFAULT = "default"


class RuleOutcome(StrEnum):
    """`decided` gave the answer; `matched` concerned this user but could not decide; `passed` did not concern them."""

    DECIDED = "decided"
    MATCHED = "matched"
    PASSED = "passed"


class ReasonCode(StrEnum):
    """The code of one sentence: stable, for machines and for translations."""

    SWITCH_OFF = "override_off"
    SWITCH_ON = "override_on"
    SWITCH_IGNORED = "override_ignored"
    SWITCH_UNSET = "override_unset"
    ROLLED_BACK = "rolled_back"
    NOT_ROLLED_BACK = "not_rolled_back"
    GUARD_LEASE_EXPIRED = "guard_lease_expired"
    GUARD_LEASE_HELD = "guard_lease_held"
    GUARD_LEASE_NOT_REQUIRED = "guard_lease_not_required"
    DENIED = "denied"
    DENIAL_EXPIRED = "denial_expired"
    NOT_DENIED = "not_denied"
    ALLOWED = "allowed"
    ALLOWANCE_EXPIRED = "allowance_expired"
    NOT_ALLOWED = "not_allowed"
    ENVIRONMENT_ON = "environment_on"
    ENVIRONMENT_CLOSED = "environment_closed"
    BETA_MEMBER = "beta_member"
    BETA_WAITING = "beta_waiting"
    BETA_CLOSED = "beta_closed"
    NOT_BETA_MEMBER = "not_beta_member"
    NEW_SIGNUP_ALL = "new_signup_all"
    NEW_SIGNUP_INSIDE = "new_signup_inside"
    NEW_SIGNUP_WAITING = "new_signup_waiting"
    NEW_SIGNUPS_CLOSED = "new_signups_closed"
    NOT_NEW_SIGNUP = "not_new_signup"
    SIGNUP_DATE_MISSING = "signup_date_missing"
    ATTRIBUTES_ALL = "attributes_all"
    ATTRIBUTES_INSIDE = "attributes_inside"
    ATTRIBUTES_WAITING = "attributes_waiting"
    ATTRIBUTES_NEEDLESS = "attributes_needless"
    ATTRIBUTES_NOT_MET = "attributes_not_met"
    EVERYONE_ALL = "everyone_all"
    EVERYONE_INSIDE = "everyone_inside"
    EVERYONE_WAITING = "everyone_waiting"
    EVERYONE_CLOSED = "everyone_closed"
    NO_USER = "no_user"
    DEFAULT_OFF = "default_off"
    ANONYMOUS = "anonymous"


class TraceStep(NamedTuple):
    """One rule's note. A tuple, because a dozen are made per evaluation and it is built three times faster."""

    rule: Rule
    outcome: RuleOutcome
    detail: ReasonCode
    bucket: int | None = None
    percentage: int | None = None
    note: str | None = None
    """The reason of an override or of the rollback, in the words of whoever gave it."""
    at: datetime | None = None
    """The instant the rule compares with: an expiry, or the cut-over of new signups."""
    phase: str | None = None
    """The phase that let the user in, where the audience alone doesn't tell."""


REASON_TEXT: dict[ReasonCode, str] = {
    ReasonCode.SWITCH_OFF: "The environment variable of this process says off, which always wins.",
    ReasonCode.SWITCH_ON: "The environment variable of this process says on, which wins outside production.",
    ReasonCode.SWITCH_IGNORED: "The environment variable says on, which production ignores.",
    ReasonCode.SWITCH_UNSET: "No environment variable overrides the flag.",
    ReasonCode.ROLLED_BACK: "The rollout is rolled back: {note}",
    ReasonCode.NOT_ROLLED_BACK: "The rollout is not rolled back here.",
    ReasonCode.GUARD_LEASE_EXPIRED: ("The guard has been silent since its lease ended at {at}, so nobody is exposed."),
    ReasonCode.GUARD_LEASE_HELD: "The guard is watching.",
    ReasonCode.GUARD_LEASE_NOT_REQUIRED: "No guard is required here.",
    ReasonCode.DENIED: "This user is kept out by name{until}: {note}",
    ReasonCode.DENIAL_EXPIRED: "This user was kept out by name until {at}: {note}",
    ReasonCode.NOT_DENIED: "Nobody keeps this user out by name.",
    ReasonCode.ALLOWED: "This user is let in by name{until}: {note}",
    ReasonCode.ALLOWANCE_EXPIRED: "This user was let in by name until {at}: {note}",
    ReasonCode.NOT_ALLOWED: "Nobody lets this user in by name.",
    ReasonCode.ENVIRONMENT_ON: "The flag is on for everybody in this environment.",
    ReasonCode.ENVIRONMENT_CLOSED: "The flag is not on for everybody in this environment.",
    ReasonCode.BETA_MEMBER: "This user is on the beta allowlist.",
    ReasonCode.BETA_WAITING: "This user is on the beta allowlist, which is not open yet.",
    ReasonCode.BETA_CLOSED: "The beta is not open yet.",
    ReasonCode.NOT_BETA_MEMBER: "This user is not on the beta allowlist.",
    ReasonCode.NEW_SIGNUP_ALL: "This user signed up after {at}, and all new signups are in.",
    ReasonCode.NEW_SIGNUP_INSIDE: (
        "This user signed up after {at}, and bucket {bucket} is within {percentage} % of new signups."
    ),
    ReasonCode.NEW_SIGNUP_WAITING: (
        "This user signed up after {at}, but bucket {bucket} is beyond {percentage} % of new signups."
    ),
    ReasonCode.NEW_SIGNUPS_CLOSED: "The rollout has not opened to new signups yet.",
    ReasonCode.NOT_NEW_SIGNUP: "This user did not sign up after {at}.",
    ReasonCode.SIGNUP_DATE_MISSING: "The signup date is unknown, which does not count as new.",
    ReasonCode.ATTRIBUTES_ALL: "This user is one of the {note}, and all of those are in.",
    ReasonCode.ATTRIBUTES_INSIDE: (
        "This user is one of the {note}, and bucket {bucket} is within {percentage} % of those."
    ),
    ReasonCode.ATTRIBUTES_WAITING: (
        "This user is one of the {note}, but bucket {bucket} is beyond {percentage} % of those."
    ),
    ReasonCode.ATTRIBUTES_NEEDLESS: "Attributes no longer matter, because everyone is in.",
    ReasonCode.ATTRIBUTES_NOT_MET: "This user does not have the attributes that the rollout is open to.",
    ReasonCode.EVERYONE_ALL: "Everyone is in.",
    ReasonCode.EVERYONE_INSIDE: "Bucket {bucket} is within {percentage} % of everyone.",
    ReasonCode.EVERYONE_WAITING: "Bucket {bucket} is beyond {percentage} % of everyone.",
    ReasonCode.EVERYONE_CLOSED: "The rollout has not opened to everyone yet.",
    ReasonCode.NO_USER: "No user is named, so this rule can't apply.",
    ReasonCode.DEFAULT_OFF: "No rule let this user in, so the flag is off.",
    ReasonCode.ANONYMOUS: "No user is named, so the flag is off.",
}


def describe(step: TraceStep) -> str:
    """Return the sentence a step stands for, with its facts filled in."""
    at = _format(step.at) if step.at else ""
    return REASON_TEXT[step.detail].format(
        bucket=step.bucket,
        percentage=step.percentage,
        note=step.note,
        at=at,
        until=f" until {at}" if at else "",
    )


def _format(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
