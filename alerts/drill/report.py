"""What a drill has shown: what was done, whether that was right, and how long it took."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from alerts.drill import cleanup
from alerts.drill.faults import DrillAction, Fault
from alerts.drill.flag import FLAG, RULES
from control_plane import rollouts
from control_plane.core.phases import Rollout, RolloutState
from control_plane.platform.db.database import read_only


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a drill. `reason` is the guard's, or says why the drill proves nothing.

    `milliseconds` run from the failure that completed the evidence to the last operation that the candidate served;
    None where no rollback was expected, or none that can be timed.
    """

    fault: str
    expected: DrillAction
    action: DrillAction
    passed: bool
    seconds: float
    """From the first fault to the action, or to the end of the drill."""
    milliseconds: int | None
    reason: str
    operations: int
    served_by_v2: int
    outcomes: int
    """Operations since the fault was in force."""
    failed: int
    failures_needed: int


@dataclass(slots=True)
class Course:
    """A drill while it runs; seconds are of the monotonic clock."""

    fault: Fault
    started: float
    attempt: int
    holder: str
    operations: int = 0
    served: int = 0
    outcomes: int = 0
    failed: int = 0
    needed: int = 0
    broken_at: float | None = None
    evident_at: float | None = None
    last_served_at: float | None = None
    acted_at: float | None = None


def report_on(name: str, course: Course, at: float) -> Report:
    with read_only() as session:
        rollout = rollouts.find(session, FLAG)
        cause = cleanup.cause_of_rollback(session, course.attempt)
    action = _action(rollout, course)
    problem = _problem(course, rollout, cause, action)
    milliseconds = None
    if not problem and course.evident_at is not None and course.last_served_at is not None:
        milliseconds = max(0, round((course.last_served_at - course.evident_at) * 1000))
    ended_at = course.acted_at if action is DrillAction.HOLD and course.acted_at else course.last_served_at or at
    return Report(
        fault=name,
        expected=course.fault.expected,
        action=action,
        passed=not problem,
        seconds=round(max(0.0, (at if action is DrillAction.NONE else ended_at) - (course.broken_at or at)), 2),
        milliseconds=milliseconds,
        reason=problem or rollout.state_reason,
        operations=course.operations,
        served_by_v2=course.served,
        outcomes=course.outcomes,
        failed=course.failed,
        failures_needed=course.needed,
    )


def _action(rollout: Rollout, course: Course) -> DrillAction:
    if rollout.latched:
        return DrillAction.ROLLBACK
    return DrillAction.HOLD if rollout.state is RolloutState.HELD or course.acted_at is not None else DrillAction.NONE


def _problem(course: Course, rollout: Rollout, cause: Mapping[str, object], action: DrillAction) -> str:
    """Return why the drill did not pass, or proves nothing; empty where the guard did what it should."""
    if rollout.attempt != course.attempt:
        return "Its flag was changed by somebody else meanwhile."
    if action is DrillAction.ROLLBACK and (wrong := _wrong_cause(course, rollout, cause)):
        return wrong
    if not course.outcomes or not course.served:
        return "Nobody was served once the fault was in force, so it proves nothing."
    if not course.failed:
        return "Nothing failed, so it proves nothing."
    if action is not course.fault.expected:
        figures = f"{course.failed} of {course.outcomes} operations failed since the fault began."
        return f"Expected was {course.fault.expected}, and it was {action}. {figures} {rollout.state_reason}"
    return ""


def _wrong_cause(course: Course, rollout: Rollout, cause: Mapping[str, Any]) -> str:
    if cause.get("alert") not in {rule.name for rule in RULES}:
        return f"It was not the drill's alert that rolled back: {rollout.state_reason}"
    if not course.failed:
        return "It was rolled back after 0 failures of the drill, before they were evidence enough."
    if cause["counts"]["bad"] > course.failed:
        return f"The guard counted {cause['counts']['bad']} failures, of which only {course.failed} were the drill's."
    return ""
