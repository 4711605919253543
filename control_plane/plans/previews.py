"""What a plan would change for users before it is in force: answered by the package that evaluates flags."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.core.phases import Plan, Rollout, RolloutState, new_rollout, positions
from control_plane.core.plan_edits import with_plan
from control_plane.platform.extensions import AppState
from control_plane.rollout_names import flag_of
from control_plane.rollouts import store


@dataclass(frozen=True, slots=True)
class EnvironmentChange:
    """Who gains and who loses in one environment: cohorts as sentences, and how many users of the directory."""

    environment: str
    gains: tuple[str, ...]
    losses: tuple[str, ...]
    users_gaining: int
    users_losing: int


ChangeQuery = Callable[[Session, Rollout | None, Rollout, datetime], list[EnvironmentChange]]
"""Compares two states of a rollout, from nothing where there is none; names the environments that differ."""

CHANGE_QUERY = AppState[ChangeQuery | None]("change_query", lambda: None)


@dataclass(frozen=True, slots=True)
class PlanPreview:
    """What changes with the plan at once, and what its last step would change against that of today's plan."""

    now: list[EnvironmentChange]
    complete: list[EnvironmentChange]
    after: Rollout


def register_change_query(query: ChangeQuery) -> None:
    """Let `query` compare; call it inside an application context."""
    CHANGE_QUERY.set(current_app, query)


def preview(session: Session, flag: str, before: Rollout | None, plan: Plan, now: datetime) -> PlanPreview:
    """Compare the rollout as it is with the rollout under `plan`; a new one of an environment, with the flag's own."""
    after = with_plan(before, plan, now=now) if before else new_rollout(flag, plan, now=now, reason="A preview.")
    before = before or store.load(session, flag_of(flag))
    ends = _at_the_end(before) if before else None, _at_the_end(after)
    return PlanPreview(_compare(session, before, after, now), _compare(session, *ends, now), after)


def _compare(session: Session, before: Rollout | None, after: Rollout, now: datetime) -> list[EnvironmentChange]:
    query = CHANGE_QUERY.get()
    return query(session, before, after, now) if query else []


def _at_the_end(rollout: Rollout) -> Rollout:
    return replace(rollout, position=positions(rollout.plan)[-1], state=RolloutState.COMPLETE)
