"""The rules of an evaluation in their order, each a function from who asks for what to its note in the trace.

All take the same four arguments by position, because a call by name costs more than most rules do:
the flag, the context, the instant, and the user's bucket, None for an anonymous user.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from control_plane.audiences.exposure import EVERYBODY, Share
from flags.evaluation.conditions import encode_context, met_shares
from flags.evaluation.rollout_flag import EvaluationContext, Override, RolloutFlag
from flags.evaluation.trace import ReasonCode, Rule, RuleOutcome, TraceStep

STEP_CACHE_SIZE = 4096


def environment_variable(
    flag: RolloutFlag, _context: EvaluationContext, _now: datetime, _bucket: int | None
) -> TraceStep:
    """Answer by the process's own switch."""
    if flag.environment_switch is None:
        return SWITCH_UNSET
    match flag.switch_in_force:
        case None:
            return SWITCH_IGNORED
        case True:
            return SWITCH_ON
        case False:
            return SWITCH_OFF


def rollback_latch(flag: RolloutFlag, _context: EvaluationContext, _now: datetime, _bucket: int | None) -> TraceStep:
    """Refuse everybody while the rollout is rolled back, until it is re-armed."""
    latched = flag.latched
    if latched is None:
        return NOT_ROLLED_BACK
    return TraceStep(Rule.ROLLBACK_LATCH, RuleOutcome.DECIDED, ReasonCode.ROLLED_BACK, note=latched)


def guard_lease(flag: RolloutFlag, _context: EvaluationContext, now: datetime, _bucket: int | None) -> TraceStep:
    """End exposure with the guard's lease, where a guard is required."""
    if flag.guard_expires_at is None:
        return GUARD_LEASE_NOT_REQUIRED
    if now < flag.guard_expires_at:
        return GUARD_LEASE_HELD
    return TraceStep(Rule.GUARD_LEASE, RuleOutcome.DECIDED, ReasonCode.GUARD_LEASE_EXPIRED, at=flag.guard_expires_at)


def denied(flag: RolloutFlag, context: EvaluationContext, now: datetime, _bucket: int | None) -> TraceStep:
    """Keep out users by name."""
    override = flag.denied.get(context.user_id) if context.user_id else None
    if override is None:
        return NOT_DENIED
    if override.is_active_at(now):
        return _named(Rule.DENIED, override, outcome=RuleOutcome.DECIDED, detail=ReasonCode.DENIED)
    return _named(Rule.DENIED, override, outcome=RuleOutcome.MATCHED, detail=ReasonCode.DENIAL_EXPIRED)


def allowed(flag: RolloutFlag, context: EvaluationContext, now: datetime, _bucket: int | None) -> TraceStep:
    """Let in users by name."""
    override = flag.allowed.get(context.user_id) if context.user_id else None
    if override is None:
        return NOT_ALLOWED
    if override.is_active_at(now):
        return _named(Rule.ALLOWED, override, outcome=RuleOutcome.DECIDED, detail=ReasonCode.ALLOWED)
    return _named(Rule.ALLOWED, override, outcome=RuleOutcome.MATCHED, detail=ReasonCode.ALLOWANCE_EXPIRED)


def environment(flag: RolloutFlag, _context: EvaluationContext, _now: datetime, _bucket: int | None) -> TraceStep:
    """Let in everybody where the environment is on as a whole, anonymous users too."""
    return ENVIRONMENT_ON if flag.exposure.environment else ENVIRONMENT_CLOSED


def beta(flag: RolloutFlag, context: EvaluationContext, _now: datetime, _bucket: int | None) -> TraceStep:
    """Let in who is on the allowlist of the beta phase."""
    opened = flag.exposure.allowlist
    if context.user_id and context.user_id in flag.beta:
        return BETA_MEMBER if opened else BETA_WAITING
    return NOT_BETA_MEMBER if opened else BETA_CLOSED


def new_signups(flag: RolloutFlag, context: EvaluationContext, _now: datetime, bucket: int | None) -> TraceStep:
    """Let in a share of those who signed up strictly after the cut-over."""
    percentage = flag.exposure.new_signups_percentage
    if percentage <= 0:
        return NEW_SIGNUPS_CLOSED
    if bucket is None:
        return NEW_SIGNUPS_NO_USER
    if context.signed_up_at is None:
        return SIGNUP_DATE_MISSING
    if context.signed_up_at < flag.first_new_signup:
        return _before_cutover(flag.new_signups_after)
    return _share_of_new_signups(bucket, percentage, flag.new_signups_after)


def attributes(flag: RolloutFlag, context: EvaluationContext, _now: datetime, bucket: int | None) -> TraceStep:
    """Let in a share of the customers who meet conditions; the largest share that somebody belongs to decides."""
    exposure = flag.exposure
    if exposure.everyone_percentage >= EVERYBODY:
        return ATTRIBUTES_NEEDLESS
    if bucket is None:
        return ATTRIBUTES_NO_USER
    # The shares are sorted, the largest first, so the first one met decides.
    met = met_shares(exposure.shares, encode_context(context.user_id, {**context.properties}))
    return _part_of(bucket, met[0]) if met else ATTRIBUTES_NOT_MET


def everyone(flag: RolloutFlag, _context: EvaluationContext, _now: datetime, bucket: int | None) -> TraceStep:
    """Let in a share of all users."""
    percentage = flag.exposure.everyone_percentage
    if percentage <= 0:
        return EVERYONE_CLOSED
    if bucket is None:
        return EVERYONE_NO_USER
    return _share_of_everyone(bucket, percentage)


def default(_flag: RolloutFlag, context: EvaluationContext, _now: datetime, _bucket: int | None) -> TraceStep:
    """Keep out whom no rule let in."""
    return DEFAULT_OFF if context.user_id else ANONYMOUS


RULES: tuple[Callable[[RolloutFlag, EvaluationContext, datetime, int | None], TraceStep], ...] = (
    environment_variable,
    rollback_latch,
    guard_lease,
    denied,
    allowed,
    environment,
    beta,
    new_signups,
    everyone,
    default,
)
WITH_ATTRIBUTES = (*RULES[:-2], attributes, *RULES[-2:])
"""The rules for a flag that is open to customers by their attributes; no other trace mentions those."""

# Steps without facts are made once: most of every trace is these.
SWITCH_UNSET = TraceStep(Rule.ENVIRONMENT_VARIABLE, RuleOutcome.PASSED, ReasonCode.SWITCH_UNSET)
SWITCH_OFF = TraceStep(Rule.ENVIRONMENT_VARIABLE, RuleOutcome.DECIDED, ReasonCode.SWITCH_OFF)
SWITCH_ON = TraceStep(Rule.ENVIRONMENT_VARIABLE, RuleOutcome.DECIDED, ReasonCode.SWITCH_ON)
SWITCH_IGNORED = TraceStep(Rule.ENVIRONMENT_VARIABLE, RuleOutcome.MATCHED, ReasonCode.SWITCH_IGNORED)
NOT_ROLLED_BACK = TraceStep(Rule.ROLLBACK_LATCH, RuleOutcome.PASSED, ReasonCode.NOT_ROLLED_BACK)
GUARD_LEASE_NOT_REQUIRED = TraceStep(Rule.GUARD_LEASE, RuleOutcome.PASSED, ReasonCode.GUARD_LEASE_NOT_REQUIRED)
GUARD_LEASE_HELD = TraceStep(Rule.GUARD_LEASE, RuleOutcome.PASSED, ReasonCode.GUARD_LEASE_HELD)
NOT_DENIED = TraceStep(Rule.DENIED, RuleOutcome.PASSED, ReasonCode.NOT_DENIED)
NOT_ALLOWED = TraceStep(Rule.ALLOWED, RuleOutcome.PASSED, ReasonCode.NOT_ALLOWED)
ENVIRONMENT_ON = TraceStep(Rule.ENVIRONMENT, RuleOutcome.DECIDED, ReasonCode.ENVIRONMENT_ON)
ENVIRONMENT_CLOSED = TraceStep(Rule.ENVIRONMENT, RuleOutcome.PASSED, ReasonCode.ENVIRONMENT_CLOSED)
BETA_MEMBER = TraceStep(Rule.BETA, RuleOutcome.DECIDED, ReasonCode.BETA_MEMBER)
BETA_WAITING = TraceStep(Rule.BETA, RuleOutcome.MATCHED, ReasonCode.BETA_WAITING)
BETA_CLOSED = TraceStep(Rule.BETA, RuleOutcome.PASSED, ReasonCode.BETA_CLOSED)
NOT_BETA_MEMBER = TraceStep(Rule.BETA, RuleOutcome.PASSED, ReasonCode.NOT_BETA_MEMBER)
NEW_SIGNUPS_CLOSED = TraceStep(Rule.NEW_SIGNUPS, RuleOutcome.PASSED, ReasonCode.NEW_SIGNUPS_CLOSED)
NEW_SIGNUPS_NO_USER = TraceStep(Rule.NEW_SIGNUPS, RuleOutcome.PASSED, ReasonCode.NO_USER)
SIGNUP_DATE_MISSING = TraceStep(Rule.NEW_SIGNUPS, RuleOutcome.PASSED, ReasonCode.SIGNUP_DATE_MISSING)
ATTRIBUTES_NEEDLESS = TraceStep(Rule.ATTRIBUTES, RuleOutcome.PASSED, ReasonCode.ATTRIBUTES_NEEDLESS)
ATTRIBUTES_NO_USER = TraceStep(Rule.ATTRIBUTES, RuleOutcome.PASSED, ReasonCode.NO_USER)
ATTRIBUTES_NOT_MET = TraceStep(Rule.ATTRIBUTES, RuleOutcome.PASSED, ReasonCode.ATTRIBUTES_NOT_MET)
EVERYONE_CLOSED = TraceStep(Rule.EVERYONE, RuleOutcome.PASSED, ReasonCode.EVERYONE_CLOSED)
EVERYONE_NO_USER = TraceStep(Rule.EVERYONE, RuleOutcome.PASSED, ReasonCode.NO_USER)
DEFAULT_OFF = TraceStep(Rule.DEFAULT, RuleOutcome.DECIDED, ReasonCode.DEFAULT_OFF)
ANONYMOUS = TraceStep(Rule.DEFAULT, RuleOutcome.DECIDED, ReasonCode.ANONYMOUS)


def _named(rule: Rule, override: Override, *, outcome: RuleOutcome, detail: ReasonCode) -> TraceStep:
    return TraceStep(rule, outcome, detail, note=override.reason, at=override.expires_at)


# There are at most a hundred different steps per percentage, and finding one is three times faster than making one.
@lru_cache(maxsize=STEP_CACHE_SIZE)
def _share_of_everyone(bucket: int, percentage: int) -> TraceStep:
    outcome, detail = RuleOutcome.DECIDED, ReasonCode.EVERYONE_INSIDE
    if percentage >= EVERYBODY:
        detail = ReasonCode.EVERYONE_ALL
    elif bucket > percentage:
        outcome, detail = RuleOutcome.MATCHED, ReasonCode.EVERYONE_WAITING
    return TraceStep(Rule.EVERYONE, outcome, detail, bucket, percentage)


@lru_cache(maxsize=STEP_CACHE_SIZE)
def _part_of(bucket: int, share: Share) -> TraceStep:
    outcome, detail = RuleOutcome.DECIDED, ReasonCode.ATTRIBUTES_INSIDE
    if share.percentage >= EVERYBODY:
        detail = ReasonCode.ATTRIBUTES_ALL
    elif bucket > share.percentage:
        outcome, detail = RuleOutcome.MATCHED, ReasonCode.ATTRIBUTES_WAITING
    return TraceStep(
        Rule.ATTRIBUTES, outcome, detail, bucket, share.percentage, note=share.cohort, phase=share.phase or None
    )


@lru_cache(maxsize=STEP_CACHE_SIZE)
def _share_of_new_signups(bucket: int, percentage: int, after: datetime) -> TraceStep:
    outcome, detail = RuleOutcome.DECIDED, ReasonCode.NEW_SIGNUP_INSIDE
    if percentage >= EVERYBODY:
        detail = ReasonCode.NEW_SIGNUP_ALL
    elif bucket > percentage:
        outcome, detail = RuleOutcome.MATCHED, ReasonCode.NEW_SIGNUP_WAITING
    return TraceStep(Rule.NEW_SIGNUPS, outcome, detail, bucket, percentage, at=after)


@lru_cache(maxsize=STEP_CACHE_SIZE)
def _before_cutover(after: datetime) -> TraceStep:
    return TraceStep(Rule.NEW_SIGNUPS, RuleOutcome.PASSED, ReasonCode.NOT_NEW_SIGNUP, at=after)
