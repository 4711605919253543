"""A phased flag as the standard Unleash feature that every official SDK evaluates to the answer `evaluate` gives.

Strategies are alternatives, and one group id nests their shares: each audience of the plan adds a strategy and none
is ever narrowed. Who is denied is kept out of every one of them. A flag that is off keeps its strategies, because an
empty list means on for everybody.
"""

from collections.abc import Iterable, Set
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from functools import lru_cache
from itertools import islice
from typing import Any, NamedTuple
from zlib import crc32

from flags.evaluation.bucketing import refused_user_id
from flags.evaluation.conditions import wire_constraint, wire_constraints
from flags.evaluation.contexts import SIGNUP_DATE
from flags.evaluation.rollout_flag import RolloutFlag, ordered_active_users
from flags.evaluation.timestamps import ZULU, later_prefixes

Wire = dict[str, Any]
"""A JSON object as SDKs receive it."""


SEGMENT_IDS_FROM = 1_000_000_000
"""Segments of phased flags start here; imported ones stay below."""
SEGMENT_IDS_PER_FLAG = 4
LIST_CACHE_SIZE = 16
NAMED_MAX = 100
"""So many users let in or kept out by name travel to SDKs, of each flag; the others are answered by a server alone."""
FLAG_SLOTS = 250_000_000
"""SDKs read segment ids as signed 32-bit numbers, which leaves room for this many flags."""


class SegmentKind(IntEnum):
    """The lists of users that a phased flag can carry, by their place among its segment ids."""

    DENIED = 0
    ALLOWED = 1
    BETA = 2


@dataclass(frozen=True, slots=True)
class CompiledFlag:
    """The feature and the segments it refers to; `left_out` names listed users whose ids SDKs can't be given.

    `unsent` is how many users are treated by name and are too many to travel.
    """

    feature: Wire
    segments: tuple[Wire, ...]
    left_out: tuple[str, ...] = ()
    unsent: int = 0


def compile_flag(flag: RolloutFlag, now: datetime) -> CompiledFlag:
    """The feature that SDKs in the flag's environment should hold at `now`; see `next_change_at`."""
    named = _named(flag, now)
    lists = {kind: _sendable(user_ids) for kind, user_ids in named.lists.items()}
    left_out = {*named.left_out, *(user_id for each in lists.values() for user_id in each.left_out)}
    lists = {kind: each for kind, each in lists.items() if each.user_ids}
    segments = tuple(_segment(flag.key, kind, each.user_ids) for kind, each in lists.items())
    strategies = [_default()] if flag.forced else _strategies(flag, lists.keys())
    feature = {
        "name": flag.key,
        "type": "release",
        "project": "default",
        "enabled": _is_enabled(flag, now, is_open=bool(strategies)),
        "stale": False,
        "impressionData": False,
        "strategies": strategies or [_rollout(flag.key, 0)],
        "variants": [],
        "dependencies": [],
    }
    return CompiledFlag(feature, segments, tuple(sorted(left_out)), named.unsent)


def next_change_at(flag: RolloutFlag, now: datetime) -> datetime | None:
    """When what `compile_flag` gives changes by itself: the next end of an override or of the lease; None if never."""
    overrides = (*flag.denied.values(), *flag.allowed.values())
    ends = [override.expires_at for override in overrides if override.expires_at] + [flag.guard_expires_at]
    return min((end for end in ends if end and end > now), default=None)


def segment_id(key: str, kind: SegmentKind) -> int:
    """The id of a flag's segment, the same in every process and at every revision."""
    return SEGMENT_IDS_FROM + crc32(key.encode()) % FLAG_SLOTS * SEGMENT_IDS_PER_FLAG + kind


def conflicting_key(key: str, others: Iterable[str]) -> str | None:
    """Another flag whose segments would have the ids of this one's: one chance in 250 million; its plan is refused."""
    first = segment_id(key, SegmentKind.DENIED)
    return next((other for other in others if other != key and segment_id(other, SegmentKind.DENIED) == first), None)


class _Sendable(NamedTuple):
    user_ids: tuple[str, ...]
    left_out: tuple[str, ...]


class _Named(NamedTuple):
    lists: dict[SegmentKind, frozenset[str]]
    left_out: tuple[str, ...]
    unsent: int


def _named(flag: RolloutFlag, now: datetime) -> _Named:
    """Return the lists that travel: of the overrides the earliest, those kept out before those let in."""
    denied, allowed = (ordered_active_users(each, now) for each in (flag.denied, flag.allowed))
    sent_denied = _sent(denied, NAMED_MAX)
    sent_allowed = _sent(allowed, NAMED_MAX - len(sent_denied))
    left_out = tuple(user_id for user_id in (*denied, *allowed) if refused_user_id(user_id))
    lists = {
        SegmentKind.DENIED: frozenset(sent_denied),
        SegmentKind.ALLOWED: frozenset(sent_allowed),
        SegmentKind.BETA: frozenset(flag.beta) if flag.exposure.allowlist else frozenset(),
    }
    sent = len(sent_denied) + len(sent_allowed)
    return _Named(lists, left_out, len(denied) + len(allowed) - len(left_out) - sent)


def _sent(user_ids: Iterable[str], most: int) -> list[str]:
    return list(islice((user_id for user_id in user_ids if not refused_user_id(user_id)), most))


# A million beta users take seconds to check and sort; from one change to the next they are mostly the same.
@lru_cache(maxsize=LIST_CACHE_SIZE)
def _sendable(user_ids: frozenset[str]) -> _Sendable:
    left_out = {user_id for user_id in user_ids if refused_user_id(user_id)}
    return _Sendable(tuple(sorted(user_ids - left_out)), tuple(sorted(left_out)))


def _segment(key: str, kind: SegmentKind, user_ids: tuple[str, ...]) -> Wire:
    # A strategy requires all of its segments, so the denied are sent as the segment of everybody else.
    operator = "NOT_IN" if kind is SegmentKind.DENIED else "IN"
    return {
        "id": segment_id(key, kind),
        "name": f"{key} {kind.name.lower()}",
        "constraints": [wire_constraint("userId", operator, user_ids)],
    }


def _is_enabled(flag: RolloutFlag, now: datetime, *, is_open: bool) -> bool:
    if flag.forced is not None:
        return flag.forced
    guarded = flag.guard_expires_at is None or now < flag.guard_expires_at
    return is_open and guarded and flag.latched is None


def _strategies(flag: RolloutFlag, lists: Set[SegmentKind]) -> list[Wire]:
    """The strategies that are open, in the order in which `evaluate` asks."""
    exposure = flag.exposure
    denied = [segment_id(flag.key, SegmentKind.DENIED)] if SegmentKind.DENIED in lists else []
    strategies = [
        _default([*denied, segment_id(flag.key, kind)])
        for kind in (SegmentKind.ALLOWED, SegmentKind.BETA)
        if kind in lists
    ]
    if exposure.environment:
        strategies.append(_default(denied))
    if exposure.new_signups_percentage > 0:
        cohort = _signed_up_after(flag.new_signups_after)
        strategies.append(_rollout(flag.key, exposure.new_signups_percentage, constraints=cohort, segments=denied))
    for share in exposure.shares:
        conditions = wire_constraints(share.constraints)
        strategies.append(_rollout(flag.key, share.percentage, constraints=conditions, segments=denied))
    if exposure.everyone_percentage > 0:
        strategies.append(_rollout(flag.key, exposure.everyone_percentage, segments=denied))
    return strategies


def _default(segments: Iterable[int] = ()) -> Wire:
    """On for everybody in the segments, anonymous users included."""
    return {"name": "default", "parameters": {}, "constraints": [], "segments": list(segments), "variants": []}


def _rollout(key: str, percentage: int, *, constraints: Iterable[Wire] = (), segments: Iterable[int] = ()) -> Wire:
    """On for a share of the users with an id: any other stickiness would scatter who comes without."""
    return {
        "name": "flexibleRollout",
        "parameters": {"rollout": str(percentage), "stickiness": "userId", "groupId": key},
        "constraints": list(constraints),
        "segments": list(segments),
        "variants": [],
    }


def _signed_up_after(instant: datetime) -> list[Wire]:
    """A signup date in any other spelling, or none, is not later in any engine."""
    return [
        wire_constraint(SIGNUP_DATE, "STR_STARTS_WITH", later_prefixes(instant)),
        wire_constraint(SIGNUP_DATE, "STR_ENDS_WITH", [ZULU]),
    ]
