"""The evidence on the next step: the users v2 would refuse, and the soundness of the comparison. Pure.

A user counts as refused when legacy would grant the next credit of a kind and v2 would not.
"""

from dataclasses import dataclass
from datetime import datetime

from control_plane.core.gates import GateStatus

TOLERATED_LEAST = 1
"""Among few users one is over any share; one alone closes nothing, unless none is tolerated."""


@dataclass(frozen=True, slots=True)
class AdvanceCheck:
    """The result at `at` for the step that follows `version` of a rollout.

    Of `users` in the directory `entering` are not yet let in and would be; `refused` of those would be refused.
    `operations` of this step were judged again from their rows; `mismatches` and `unlike` of them stood out.
    """

    at: datetime
    version: int
    users: int
    entering: int
    refused: int
    operations: int
    mismatches: int
    unlike: int

    @property
    def documented(self) -> dict[str, object]:
        """The figures, as the audit trail keeps them."""
        return {
            "examined_at": f"{self.at:%Y-%m-%dT%H:%M:%SZ}",
            "users": self.users,
            "entering": self.entering,
            "refused": self.refused,
            "operations": self.operations,
            "mismatches": self.mismatches,
            "unlike": self.unlike,
        }


def gate_result(found: AdvanceCheck, *, percent_max: int, beyond_allowlist: bool) -> tuple[GateStatus, str]:
    """Return the gate's answer. Whom people chose by name may be; of all others at most `percent_max` in a hundred."""
    against = [_unsound(found)] if found.mismatches or found.unlike else []
    if beyond_allowlist and found.refused > tolerated(found.entering, percent_max):
        against.append(_too_many(found, percent_max))
    if against:
        return GateStatus.CLOSED, " ".join(against)
    return GateStatus.OPEN, f"{_who(found)} {found.operations:,} operations judged again came out the same."


def tolerated(entering: int, percent_max: int) -> int:
    """Return the number of `entering` users that may be refused."""
    return max(entering * percent_max // 100, TOLERATED_LEAST) if percent_max else 0


def _who(found: AdvanceCheck) -> str:
    if not found.entering:
        return "Nobody known would enter."
    refused = f"{found.refused:,}" if found.refused else "none"
    return f"Of the {found.entering:,} users who would enter, v2 would refuse {refused} what legacy grants them."


def _too_many(found: AdvanceCheck, percent_max: int) -> str:
    share = f"That is {found.refused / found.entering:.1%}; at most {percent_max} % may be."
    return f"{_who(found)} {share} `rollout credits switch-preview` lists them."


def _unsound(found: AdvanceCheck) -> str:
    return (
        f"Of {found.operations:,} operations judged again {found.mismatches:,} differ between legacy and itself and "
        f"{found.unlike:,} from what was journalled: the comparison proves nothing. See `rollout credits aa-test`."
    )
