"""Evaluate a flag: one pure function from flag, context and instant to a value with its reasons.

`rules.py` holds the rules in their order; the first that decides is the answer. `compiler.py` says the same in
Unleash's words, and a property test holds the two together. Every name a caller needs is importable from here.
"""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from control_plane.audiences.base import AudienceKind
from flags.evaluation.bucketing import bucket
from flags.evaluation.rollout_flag import EvaluationContext, Override, RolloutFlag
from flags.evaluation.rules import RULES, WITH_ATTRIBUTES
from flags.evaluation.trace import ReasonCode, Rule, RuleOutcome, TraceStep, describe

__all__ = [
    "Evaluation",
    "EvaluationContext",
    "Override",
    "Reason",
    "ReasonCode",
    "RolloutFlag",
    "Rule",
    "RuleOutcome",
    "TraceStep",
    "describe",
    "evaluate",
]


class Reason(StrEnum):
    """OpenFeature's words for how a value came about."""

    STATIC = "STATIC"
    TARGETING_MATCH = "TARGETING_MATCH"
    SPLIT = "SPLIT"
    DISABLED = "DISABLED"
    DEFAULT = "DEFAULT"
    STALE = "STALE"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Evaluation(NamedTuple):
    """The answer and how it came about; `trace` holds one step per rule asked, the last of which decided.

    `bucket` is None for an anonymous user, `phase` for an answer that no phase gave.
    """

    value: bool
    reason: Reason
    detail: ReasonCode
    trace: tuple[TraceStep, ...]
    bucket: int | None
    phase: str | None

    @property
    def variant(self) -> str:
        """The value in OpenFeature's form, `on` or `off`."""
        return "on" if self.value else "off"

    @property
    def sentence(self) -> str:
        """Why, in words."""
        return describe(self.trace[-1])


def evaluate(flag: RolloutFlag, context: EvaluationContext, now: datetime) -> Evaluation:
    """Evaluate `flag` for `context` at `now`; nothing a user can send makes it raise."""
    place = bucket(flag.key, context.user_id) if context.user_id else None
    decided, trace = RuleOutcome.DECIDED, []
    for rule in WITH_ATTRIBUTES if flag.exposure.shares else RULES:
        step = rule(flag, context, now, place)
        trace.append(step)
        if step.outcome is decided:
            break
    value, reason, audience = _VERDICTS[step.detail]
    phase = step.phase or (flag.phase_names.get(audience) if audience else None)
    return Evaluation(value, reason, step.detail, tuple(trace), place, phase)


class _Verdict(NamedTuple):
    value: bool
    reason: Reason
    audience: AudienceKind | None = None


_VERDICTS = {
    ReasonCode.SWITCH_OFF: _Verdict(value=False, reason=Reason.DISABLED),
    ReasonCode.SWITCH_ON: _Verdict(value=True, reason=Reason.STATIC),
    ReasonCode.ROLLED_BACK: _Verdict(value=False, reason=Reason.DISABLED),
    ReasonCode.GUARD_LEASE_EXPIRED: _Verdict(value=False, reason=Reason.DISABLED),
    ReasonCode.DENIED: _Verdict(value=False, reason=Reason.TARGETING_MATCH),
    ReasonCode.ALLOWED: _Verdict(value=True, reason=Reason.TARGETING_MATCH),
    ReasonCode.ENVIRONMENT_ON: _Verdict(value=True, reason=Reason.STATIC, audience=AudienceKind.ENVIRONMENTS),
    ReasonCode.BETA_MEMBER: _Verdict(value=True, reason=Reason.TARGETING_MATCH, audience=AudienceKind.ALLOWLIST),
    ReasonCode.NEW_SIGNUP_ALL: _Verdict(value=True, reason=Reason.TARGETING_MATCH, audience=AudienceKind.NEW_SIGNUPS),
    ReasonCode.NEW_SIGNUP_INSIDE: _Verdict(value=True, reason=Reason.SPLIT, audience=AudienceKind.NEW_SIGNUPS),
    ReasonCode.ATTRIBUTES_ALL: _Verdict(value=True, reason=Reason.TARGETING_MATCH, audience=AudienceKind.ATTRIBUTES),
    ReasonCode.ATTRIBUTES_INSIDE: _Verdict(value=True, reason=Reason.SPLIT, audience=AudienceKind.ATTRIBUTES),
    ReasonCode.EVERYONE_ALL: _Verdict(value=True, reason=Reason.STATIC, audience=AudienceKind.EVERYONE),
    ReasonCode.EVERYONE_INSIDE: _Verdict(value=True, reason=Reason.SPLIT, audience=AudienceKind.EVERYONE),
    ReasonCode.DEFAULT_OFF: _Verdict(value=False, reason=Reason.DEFAULT),
    ReasonCode.ANONYMOUS: _Verdict(value=False, reason=Reason.DEFAULT),
}
