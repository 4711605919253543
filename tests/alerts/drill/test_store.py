"""Drills that are kept: the last one that passed is found by plans that ask for one."""

from datetime import datetime, timedelta

from flask import Flask

from alerts.drill import store
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.gates import GateStatus
from control_plane.core.phase_gates import PhaseGates
from control_plane.core.phases import Phase, Plan
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollouts.gate_registry import plan_gates


def test_a_plan_that_asks_for_a_drill_reads_the_last_one_that_passed(app: Flask, now: datetime) -> None:
    gates = PhaseGates(drill_days=30, restore_test_days=90)
    phase = Phase("everyone", "Everyone", AudienceKind.EVERYONE, (100,), timedelta(0), gates=gates)
    with app.app_context():
        with transaction() as session:
            rollouts.plan(session, "SEARCH", Plan((phase,), now), ChangeContext(now, "alice", "Planned."))
            for passed in (False, True):
                store.add(session, now=now, actor="olga", passed=passed, milliseconds=600, report={})
        with read_only() as session:
            rollout = rollouts.find(session, "SEARCH")
            found = {
                days: {gate.name: gate.status for gate in plan_gates(session, rollout, now + timedelta(days=days))}
                for days in (30, 31)
            }
    assert found[30] == {"drill": GateStatus.OPEN, "restore_test": GateStatus.UNKNOWN}
    assert found[31]["drill"] is GateStatus.CLOSED
