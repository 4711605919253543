"""What an owner who is not there approves: what is too small to prove anything, and a risk taken beforehand."""

from datetime import UTC, datetime, timedelta

import pytest

from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.phases import new_rollout
from control_plane.experiments.credits import FLAG
from dashboards.simulation.auto_owner import DEFAULT, AutoOwner, approval_reason

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
ROLLOUT = new_rollout(FLAG, default_plan(BEGAN), now=BEGAN, reason="A rehearsal.")
SERVED = GateResult("served", GateStatus.UNKNOWN, "v2 served 3 of the 20 operations.")
RISKY = AutoOwner(patience=2, risk=0.2)


def safety(chance: float, *, worse: bool = False, above: bool = False) -> GateResult:
    figures = {
        "chance_above_threshold": chance,
        "worse_than_before_this_step": worse,
        "above_threshold_in_this_step": above,
    }
    return GateResult("safety", GateStatus.UNKNOWN, "Not shown yet.", {"credit_variance": figures})


def approved(owner: AutoOwner, *gates: GateResult, soaks: float = 2) -> str:
    return approval_reason(owner, ROLLOUT, list(gates), BEGAN + soaks * ROLLOUT.phase.soak)


def test_too_few_users_are_approved_after_the_owners_patience() -> None:
    assert approved(DEFAULT, SERVED) == "This step has too few users to serve more operations."
    assert not approved(DEFAULT, SERVED, soaks=1.9)
    assert approved(AutoOwner(patience=0), SERVED, soaks=0)


@pytest.mark.parametrize(
    ("gate", "passes"),
    [
        (safety(0.19), True),
        (safety(0.21), False),
        (safety(0.01, worse=True), False),
        (safety(0.01, above=True), False),
        (GateResult("safety", GateStatus.UNKNOWN, "No alert counts anything."), False),
    ],
)
def test_a_risk_is_taken_up_to_what_the_owner_said(gate: GateResult, passes: bool) -> None:
    assert bool(approved(RISKY, gate)) is passes
    assert not approved(DEFAULT, gate), "without a risk nothing unsafe is approved"
    if passes:
        assert approved(RISKY, gate, SERVED).endswith("is at most 20%, which the owner accepts.")


def test_no_other_gate_is_opened_by_hand() -> None:
    assert not approved(RISKY, SERVED, GateResult("migration", GateStatus.UNKNOWN, "Never checked."))
    assert timedelta(0) < ROLLOUT.phase.soak
