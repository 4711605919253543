"""Flags whose time is over: complete for long, no longer requested by any SDK, or requested and not known here."""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy.orm import Session

from control_plane.core.lifecycle import CLEANUP_AFTER, Stage, stage
from control_plane.core.phases import Rollout
from control_plane.experiments.registry import migration_of
from control_plane.rollout_names import environment_of
from control_plane.rollouts import store as rollout_store
from flags import store

UNUSED_AFTER = timedelta(days=14)
DAYS_MAX = 90
"""What clients report is kept for so long."""


class StaleCause(StrEnum):
    """Why a flag is on the list."""

    COMPLETE = "complete"
    NOT_REQUESTED = "not_requested"
    NOT_KNOWN = "not_known"


@dataclass(frozen=True, slots=True)
class StaleFlag:
    """A flag with the cause and a sentence; `since` is None where nothing was reported within the time looked at."""

    flag: str
    cause: StaleCause
    sentence: str
    since: datetime | None = None


def stale_flags(
    session: Session,
    now: datetime,
    *,
    complete_for: timedelta = CLEANUP_AFTER,
    unused_for: timedelta = UNUSED_AFTER,
) -> list[StaleFlag]:
    """List them by cause and name. A flag that this program evaluates itself is never one that nobody requests."""
    # Of a flag's rollouts: the switch is in the code for all its environments.
    rollouts = [each for each in rollout_store.load_all(session) if not each.plan.is_of_one_environment]
    requested = store.last_requests(session, since=now - unused_for)
    known = {each.flag: each for each in rollouts}
    planned = {name: at for name, at in rollout_store.planned_at(session).items() if not environment_of(name)}
    ages = planned | store.changed_at(session)
    return [
        *_complete(rollouts, now, complete_for),
        *(
            StaleFlag(name, StaleCause.NOT_REQUESTED, f"No SDK reported it in {_days(unused_for)}.")
            for name, at in sorted(ages.items())
            if name not in requested and at <= now - unused_for and migration_of(name) is None
            if name not in known or not known[name].archived
        ),
        *_unknown(requested, known, ages.keys()),
    ]


def _complete(rollouts: list[Rollout], now: datetime, complete_for: timedelta) -> Iterator[StaleFlag]:
    for rollout in rollouts:
        since = rollout.completed_at
        if since and stage(rollout, now, cleanup_after=complete_for) is Stage.CLEANING_UP:
            sentence = f"Complete for {_days(now - since)}: take its switch out of the code, then archive it."
            yield StaleFlag(rollout.flag, StaleCause.COMPLETE, sentence, since)


def _unknown(
    requested: dict[str, store.LastRequest], rollouts: dict[str, Rollout], known: Set[str]
) -> Iterator[StaleFlag]:
    for name, last in sorted(requested.items()):
        rollout = rollouts.get(name)
        if name in known and not (rollout and rollout.archived):
            continue
        state = "It is archived here" if rollout else "Nothing here has that name"
        who = f"{', '.join(last.applications)} in {', '.join(last.environments)}"
        yield StaleFlag(name, StaleCause.NOT_KNOWN, f"{state}, and it is still asked for by {who}.", last.at)


def _days(span: timedelta) -> str:
    return "1 day" if span.days == 1 else f"{span.days} days"
