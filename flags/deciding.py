"""The answer without its reasons, for callers who ask about every flag at once.

Everything that does not depend on the user is decided beforehand. `evaluation.py` remains the truth: a property test
holds the two together.
"""

from collections.abc import Set
from datetime import UTC, datetime
from typing import NamedTuple

from flags.bucketing import bucket
from flags.phased import PhasedFlag, counting

EVERYBODY = 100


class Decider(NamedTuple):
    """What is left to ask of a user: `settled` is the answer for everybody where there is nothing left to ask."""

    key: str
    settled: bool | None
    denied: Set[str] = frozenset()
    allowed: Set[str] = frozenset()
    beta: Set[str] = frozenset()
    otherwise: bool = False
    new_signups_percentage: int = 0
    everyone_percentage: int = 0
    first_new_signup: datetime = datetime.max.replace(tzinfo=UTC)

    def decide(self, user_id: str | None, signed_up_at: datetime | None) -> bool:
        """What `evaluate` answers, as long as the flag's overrides and its lease stay as they were."""
        if self.settled is not None:
            return self.settled
        if not user_id:
            return self.otherwise
        if user_id in self.denied:
            return False
        if self.otherwise or user_id in self.allowed or user_id in self.beta:
            return True
        percentage = self.everyone_percentage
        if self.new_signups_percentage > percentage and signed_up_at and signed_up_at >= self.first_new_signup:
            percentage = self.new_signups_percentage
        return percentage >= EVERYBODY or (percentage > 0 and bucket(self.key, user_id) <= percentage)


def decider(flag: PhasedFlag, now: datetime) -> Decider:
    """The flag with everything decided that does not depend on the user."""
    if flag.forced is not None:
        return Decider(flag.key, flag.forced)
    if flag.latched is not None or (flag.guard_expires_at is not None and now >= flag.guard_expires_at):
        return Decider(flag.key, settled=False)
    exposure = flag.exposure
    allowed, beta = counting(flag.allowed, now), flag.beta if exposure.allowlist else frozenset()
    if exposure.empty and not allowed:
        return Decider(flag.key, settled=False)
    return Decider(
        key=flag.key,
        settled=None,
        denied=counting(flag.denied, now),
        allowed=allowed,
        beta=beta,
        otherwise=exposure.environment,
        new_signups_percentage=exposure.new_signups_percentage,
        everyone_percentage=exposure.everyone_percentage,
        first_new_signup=flag.first_new_signup,
    )
