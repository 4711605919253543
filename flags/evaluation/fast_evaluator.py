"""The answer without its reasons, for callers who ask about every flag at once.

Everything that does not depend on the user is decided beforehand. `evaluator.py` remains the truth: a property test
holds the two together.
"""

from collections.abc import Set
from datetime import UTC, datetime
from typing import NamedTuple

from control_plane.audiences.exposure import EVERYBODY, Share
from flags.evaluation.bucketing import bucket
from flags.evaluation.conditions import met_shares
from flags.evaluation.rollout_flag import RolloutFlag, active_users


class FastEvaluator(NamedTuple):
    """A flag compiled for evaluation without a trace; `constant` is the value where it is the same for everybody."""

    key: str
    constant: bool | None
    denied: Set[str] = frozenset()
    allowed: Set[str] = frozenset()
    beta: Set[str] = frozenset()
    otherwise: bool = False
    new_signups_percentage: int = 0
    everyone_percentage: int = 0
    first_new_signup: datetime = datetime.max.replace(tzinfo=UTC)
    shares: tuple[Share, ...] = ()

    def evaluate(self, user_id: str | None, signed_up_at: datetime | None, context: bytes = b"{}") -> bool:
        """Return what `evaluate` returns, while the flag's overrides and its lease stay as they were.

        `context` is the whole of it in the JSON of Unleash's engines, which only a flag with `shares` reads.
        """
        if self.constant is not None:
            return self.constant
        if not user_id:
            return self.otherwise
        if user_id in self.denied:
            return False
        # The order of `rules.py`: a denial comes first, then whatever lets in, then the shares.
        if self.otherwise or user_id in self.allowed or user_id in self.beta:
            return True
        # One bucket for all audiences, so the largest percentage that applies decides.
        percentage = self.everyone_percentage
        if self.new_signups_percentage > percentage and signed_up_at and signed_up_at >= self.first_new_signup:
            percentage = self.new_signups_percentage
        if self.shares and (met := met_shares(self.shares, context)):
            percentage = max(percentage, met[0].percentage)
        return percentage >= EVERYBODY or (percentage > 0 and bucket(self.key, user_id) <= percentage)


def fast_evaluator(flag: RolloutFlag, now: datetime) -> FastEvaluator:
    """Return the flag with everything decided that does not depend on the user."""
    if flag.switch_in_force is not None:
        return FastEvaluator(flag.key, flag.switch_in_force)
    if flag.latched is not None or (flag.guard_expires_at is not None and now >= flag.guard_expires_at):
        return FastEvaluator(flag.key, constant=False)
    exposure = flag.exposure
    allowed, beta = active_users(flag.allowed, now), flag.beta if exposure.allowlist else frozenset()
    if exposure.empty and not allowed:
        return FastEvaluator(flag.key, constant=False)
    return FastEvaluator(
        key=flag.key,
        constant=None,
        denied=active_users(flag.denied, now),
        allowed=allowed,
        beta=beta,
        otherwise=exposure.environment,
        new_signups_percentage=exposure.new_signups_percentage,
        everyone_percentage=exposure.everyone_percentage,
        first_new_signup=flag.first_new_signup,
        shares=exposure.shares if exposure.everyone_percentage < EVERYBODY else (),
    )
