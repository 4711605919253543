"""Prove that an advance takes the flag from nobody: from the values alone, so for every user there may ever be.

`flags/administration/plan_checks.py` refuses a plan with a step for which this is not so, and
`flags/administration/losses.py` such a step, unless a person confirms that users lose the flag.
"""

from collections.abc import Iterator, Set
from datetime import datetime

from control_plane.audiences.exposure import Exposure
from flags.evaluation.rollout_flag import RolloutFlag, active_users
from flags.evaluation.timestamps import format_timestamp

NAMED_MAX = 5
"""So many users are named in a sentence; the rest are counted."""


def is_superset_of(after: Exposure, before: Exposure) -> bool:
    """Return whether `after` admits everybody whom `before` admits, so that going there takes the flag from nobody."""
    return (
        after.environment >= before.environment
        and after.allowlist >= before.allowlist
        and after.new_signups_percentage >= before.new_signups_percentage
        and after.everyone_percentage >= before.everyone_percentage
        and all(after.percentage_of(share.constraints) >= share.percentage for share in before.shares)
    )


def violations(before: RolloutFlag, after: RolloutFlag, *, now: datetime) -> list[str]:
    """Return every reason why somebody might lose the flag at `now`, as sentences.

    Empty is a proof that nobody does.
    """
    if _stopped(before, now) or after.switch_in_force:
        return []
    return [*_switches(before, after, now), *_cohorts(before, after), *_people(before, after, now)]


def _stopped(flag: RolloutFlag, now: datetime) -> bool:
    return flag.switch_in_force is False or (flag.switch_in_force is None and bool(list(_stops(flag, now))))


def _switches(before: RolloutFlag, after: RolloutFlag, now: datetime) -> Iterator[str]:
    if after.switch_in_force is False:
        yield "The environment variable switches the flag off."
    elif before.switch_in_force:
        yield "The environment variable no longer switches the flag on for everybody."
    yield from _stops(after, now)


def _stops(flag: RolloutFlag, now: datetime) -> Iterator[str]:
    if flag.latched is not None:
        yield f"The rollout is rolled back: {flag.latched}"
    if flag.guard_expires_at is not None and flag.guard_expires_at <= now:
        yield "The guard's lease has ended, so nobody is exposed."


def _cohorts(before: RolloutFlag, after: RolloutFlag) -> Iterator[str]:
    if before.key != after.key:
        yield f"Renaming {before.key} to {after.key} gives every user another bucket."
    if not after.exposure.environment:  # else everybody there has it, whoever had it before
        yield from _shares(before, after)


def _shares(before: RolloutFlag, after: RolloutFlag) -> Iterator[str]:
    old, new = before.exposure, after.exposure
    if old.environment:
        yield f"The environment {after.environment} is no longer on as a whole."
    if old.allowlist and not new.allowlist:
        yield "The beta allowlist is closed."
    if old.new_signups_percentage > new.new_signups_percentage:
        yield f"New signups go down from {old.new_signups_percentage} % to {new.new_signups_percentage} %."
    if old.everyone_percentage > new.everyone_percentage:
        yield f"Everyone goes down from {old.everyone_percentage} % to {new.everyone_percentage} %."
    for share in old.shares_beyond(new):
        if share.percentage > (left := new.percentage_of(share.constraints)):
            yield f"{share.title} go down from {share.percentage} % to {left} %."
    if old.new_signups_percentage and before.first_new_signup < after.first_new_signup:
        cutovers = format_timestamp(before.new_signups_after), format_timestamp(after.new_signups_after)
        yield "The cut-over of new signups moves from {} to {}.".format(*cutovers)


def _people(before: RolloutFlag, after: RolloutFlag, now: datetime) -> Iterator[str]:
    if denied := active_users(after.denied, now) - active_users(before.denied, now):
        yield f"Newly denied: {_listed(denied)}."
    if allowed := active_users(before.allowed, now) - active_users(after.allowed, now):
        yield f"No longer allowed by name: {_listed(allowed)}."
    if before.exposure.allowlist and (left := before.beta - after.beta):
        yield f"Gone from the beta allowlist: {_listed(left)}."


def _listed(user_ids: Set[str]) -> str:
    named = ", ".join(sorted(user_ids)[:NAMED_MAX])
    return named if len(user_ids) <= NAMED_MAX else f"{named} and {len(user_ids) - NAMED_MAX} more"
