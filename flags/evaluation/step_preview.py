"""Preview of a step for a user: the percentage that admits them, and what another exposure would change."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import Exposure
from flags.evaluation.bucketing import bucket
from flags.evaluation.conditions import encode_context, met_shares
from flags.evaluation.evaluator import Evaluation, evaluate
from flags.evaluation.rollout_flag import EvaluationContext, RolloutFlag


class Change(StrEnum):
    """The effect of a step on one user."""

    GAINS = "gains"
    LOSES = "loses"
    SAME = "same"


@dataclass(frozen=True, slots=True)
class StepPreview:
    """One user's answer before and after a step; `phase` and reasons are in the evaluations."""

    before: Evaluation
    after: Evaluation

    @property
    def change(self) -> Change:
        """Return the effect of the step on this user."""
        if self.before.value == self.after.value:
            return Change.SAME
        return Change.GAINS if self.after.value else Change.LOSES


def preview_step(
    flag: RolloutFlag, next_exposure: Exposure, context: EvaluationContext, *, now: datetime
) -> StepPreview:
    """Return the user's answer today and under `next_exposure`, everything else staying as it is."""
    before = evaluate(flag, context, now)
    return StepPreview(before, evaluate(replace(flag, exposure=next_exposure), context, now))


def entry_percentage(flag: RolloutFlag, context: EvaluationContext) -> int | None:
    """Return the percentage of their cohort at which this user enters: their bucket; None for an anonymous user."""
    return bucket(flag.key, context.user_id) if context.user_id else None


def entry_audience(flag: RolloutFlag, context: EvaluationContext) -> str | None:
    """Return the first audience that would let this user in, overrides aside; None for an anonymous user.

    Of customers by their attributes only those to whom the rollout has opened are known to the flag.
    """
    if not context.user_id:
        return None
    if flag.exposure.environment:
        return AudienceKind.ENVIRONMENTS
    if context.user_id in flag.beta:
        return AudienceKind.ALLOWLIST
    if context.signed_up_at is not None and context.signed_up_at >= flag.first_new_signup:
        return AudienceKind.NEW_SIGNUPS
    written = encode_context(context.user_id, {**context.properties})
    if met := met_shares(flag.exposure.shares, written):
        return met[0].audience
    return AudienceKind.EVERYONE
