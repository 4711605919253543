"""The gate of approvals: enough other people with the right role want the advance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from control_plane.change_context import CONSOLE
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phase_gates import Approvals


class ApprovalSubject(StrEnum):
    """What is approved."""

    STEP = "step"
    PLAN = "plan"
    """That the plan may be changed to ask for fewer approvals, or be deleted."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A name that something is done under.

    `people` stand behind it: a token counts as whoever made it. `access_from` are others who gave or changed its access
    of late, and so may be able to act under it.
    """

    actor: str
    people: frozenset[str]
    access_from: frozenset[str] = frozenset()

    def common_with(self, other: "Principal") -> tuple[str, str] | None:
        """Return who may act under both names, and whose access they gave; None where nobody did."""
        if givers := self.access_from & other.people:
            return min(givers), self.actor
        if givers := other.access_from & self.people:
            return min(givers), other.actor
        # Whoever adds people on the host is in charge of all of it, and gains no second voice by that.
        if of_both := {each for each in self.access_from & other.access_from if not each.startswith(CONSOLE)}:
            return min(of_both), f"{other.actor} and {self.actor}"
        return None


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of the advance from the present step under the present plan."""

    by: Principal
    role: str
    reason: str
    at: datetime

    @property
    def actor(self) -> str:
        return self.by.actor


def approvals_gate(wanted: Approvals, given: Sequence[Approval], *, excluded: Sequence[Principal]) -> GateResult:
    """Open once a quorum approves, each once; those who made the plan or ask for the advance are `excluded`."""
    counted: list[Approval] = []
    not_counted: list[tuple[str, str, str]] = []
    for each in sorted(given, key=lambda approval: approval.at):
        others = [*excluded, *(approval.by for approval in counted)]
        if each.role not in wanted.roles or any(each.by.people & other.people for other in others):
            continue
        shared = next((found for other in others if (found := each.by.common_with(other))), None)
        if shared:
            not_counted.append((each.actor, *shared))
        else:
            counted.append(each)
    evidence: dict[str, object] = {"approved_by": [each.actor for each in counted], "quorum": wanted.quorum}
    if not_counted:
        evidence["not_counted"] = [list(each) for each in not_counted]
    names = ", ".join(each.actor for each in counted)
    if len(counted) >= wanted.quorum:
        return GateResult("approvals", GateStatus.OPEN, f"Approved by {names}.", evidence)
    missing = wanted.quorum - len(counted)
    reason = (
        f"{len(counted)} of {wanted.quorum} approvals{f' (by {names})' if names else ''}; {missing} more "
        f"{'is' if missing == 1 else 'are'} needed, from the role {' or '.join(wanted.roles)}, by somebody who neither "
        "made this plan nor asks for the change."
    )
    sentences = [reason, *(shared_access_sentence(*each) for each in not_counted)]
    return GateResult("approvals", GateStatus.CLOSED, " ".join(sentences), evidence)


def shared_access_sentence(actor: str, giver: str, account: str) -> str:
    """Say why the approval of `actor` does not count."""
    return (
        f"The approval of {actor} does not count: {giver} gave {account} access, or changed it, in this step or "
        "shortly before it."
    )
