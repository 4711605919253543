"""The gate of approvals: enough other people with the right role want the advance."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from control_plane.core.gates.result import GateResult, GateStatus
from control_plane.core.phase_gates import Approvals


@dataclass(frozen=True, slots=True)
class Approval:
    """An approval of the advance from the present step under the present plan.

    `people` are those who stand behind the name: a token counts as whoever made it.
    """

    actor: str
    people: frozenset[str]
    role: str
    reason: str
    at: datetime


def approvals_gate(wanted: Approvals, given: Sequence[Approval], *, excluded: frozenset[str]) -> GateResult:
    """Open once a quorum approves, each once; those who made the plan or ask for the advance are `excluded`."""
    counted: list[Approval] = []
    people = set(excluded)
    for each in sorted(given, key=lambda approval: approval.at):
        if each.role in wanted.roles and not people & each.people:
            counted.append(each)
            people |= each.people
    names = ", ".join(each.actor for each in counted)
    evidence = {"approved_by": [each.actor for each in counted], "quorum": wanted.quorum}
    if len(counted) >= wanted.quorum:
        return GateResult("approvals", GateStatus.OPEN, f"Approved by {names}.", evidence)
    missing = wanted.quorum - len(counted)
    reason = (
        f"{len(counted)} of {wanted.quorum} approvals{f' (by {names})' if names else ''}; {missing} more "
        f"{'is' if missing == 1 else 'are'} needed, from the role {' or '.join(wanted.roles)}, by somebody who neither "
        "made this plan nor asks for the step."
    )
    return GateResult("approvals", GateStatus.CLOSED, reason, evidence)
