"""A flag under a rollout as the standard Unleash feature that official SDKs evaluate to the answer of `evaluate`.

Strategies are alternatives, and one group id nests their shares: each audience of the plan adds a strategy and none
is ever narrowed. Who is denied is kept out of every one of them. A flag that is off keeps its strategies, because an
empty list means on for everybody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Any
from zlib import crc32

from flags.evaluation.conditions import wire_constraint, wire_constraints
from flags.evaluation.contexts import SIGNUP_DATE
from flags.evaluation.rollout_flag import RolloutFlag, ordered_active_users
from flags.evaluation.timestamps import ZULU, later_prefixes
from flags.unleash import named_users

Wire = dict[str, Any]
"""A JSON object as SDKs receive it."""


SEGMENT_IDS_FROM = 1_000_000_000
"""Segments of flags under a rollout start here; imported ones stay below."""
SEGMENT_IDS_PER_FLAG = 4
FLAG_SLOTS = 250_000_000
"""SDKs read segment ids as signed 32-bit numbers, which leaves room for this many flags."""
PART_IDS_FROM = SEGMENT_IDS_FROM + FLAG_SLOTS * SEGMENT_IDS_PER_FLAG
PART_IDS = 2**31 - PART_IDS_FROM
"""What is left of those numbers is for the parts of long lists; see `merge_parts` for two of one number."""


class SegmentKind(IntEnum):
    """The lists of users that a flag under a rollout can carry, by their place among its segment ids."""

    DENIED = 0
    ALLOWED = 1
    BETA = 2


@dataclass(frozen=True, slots=True)
class CompiledFlag:
    """The feature and the segments it refers to; `left_out` names listed users whose ids SDKs can't be given.

    `unsent` is how many users are let in by name and are too many to travel.
    """

    feature: Wire
    segments: tuple[Wire, ...]
    left_out: tuple[str, ...] = ()
    unsent: int = 0


def compile_flag(flag: RolloutFlag, now: datetime) -> CompiledFlag:
    """Return the feature that SDKs in the flag's environment should hold at `now`; see `next_change_at`."""
    denied, allowed = (ordered_active_users(each, now) for each in (flag.denied, flag.allowed))
    given = {
        SegmentKind.DENIED: denied,
        SegmentKind.ALLOWED: named_users.earliest(allowed),
        SegmentKind.BETA: flag.beta if flag.exposure.allowlist else (),
    }
    lists = {kind: named_users.sendable(frozenset(user_ids)) for kind, user_ids in given.items()}
    let_in = named_users.sendable(frozenset(allowed))
    left_out = {user_id for each in (*lists.values(), let_in) for user_id in each.left_out}
    segments = {kind: _segments(flag.key, kind, each.user_ids) for kind, each in lists.items() if each.user_ids}
    strategies = [_default()] if flag.switch_in_force else _strategies(flag, segments)
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
    sent = tuple(wire for each in segments.values() for wire in each)
    unsent = len(let_in.user_ids) - len(lists[SegmentKind.ALLOWED].user_ids)
    return CompiledFlag(feature, sent, tuple(sorted(left_out)), unsent)


def next_change_at(flag: RolloutFlag, now: datetime) -> datetime | None:
    """Return when what `compile_flag` gives changes by itself: the next end of an override or of the lease.

    None if never.
    """
    overrides = (*flag.denied.values(), *flag.allowed.values())
    ends = [override.expires_at for override in overrides if override.expires_at] + [flag.guard_expires_at]
    return min((end for end in ends if end and end > now), default=None)


def segment_id(key: str, kind: SegmentKind) -> int:
    """Return the id of a flag's segment, the same in every process and at every revision."""
    return SEGMENT_IDS_FROM + crc32(key.encode()) % FLAG_SLOTS * SEGMENT_IDS_PER_FLAG + kind


def conflicting_key(key: str, others: Iterable[str]) -> str | None:
    """Return another flag whose segments would have this one's ids: one chance in 250 million; its plan is refused."""
    first = segment_id(key, SegmentKind.DENIED)
    return next((other for other in others if other != key and segment_id(other, SegmentKind.DENIED) == first), None)


def merge_parts(segments: Iterable[Wire]) -> list[Wire]:
    """Unite parts that have the same id by chance, of whatever flags: so nobody is missing who is kept out."""
    found: dict[int, Wire] = {}
    for segment in segments:
        known = found.get(segment["id"]) if segment["id"] >= PART_IDS_FROM else None
        values = {user_id for each in (known, segment) if each for user_id in each["constraints"][0]["values"]}
        found[segment["id"]] = _segment(segment["id"], segment["name"], "NOT_IN", sorted(values)) if known else segment
    return [*found.values()]


def _segments(key: str, kind: SegmentKind, user_ids: tuple[str, ...]) -> list[Wire]:
    name = f"{key} {kind.name.lower()}"
    if kind is not SegmentKind.DENIED:
        return [_segment(segment_id(key, kind), name, "IN", user_ids)]
    # A strategy requires all of its segments, so the denied are sent as segments of everybody else.
    return [
        _segment(_part_id(key, part.bits), f"{name} {part.bits}".rstrip(), "NOT_IN", part.user_ids)
        for part in named_users.parts(user_ids)
    ]


def _part_id(key: str, bits: str) -> int:
    """Return the id of a part of the users kept out: the flag's own where there is one part alone."""
    first = segment_id(key, SegmentKind.DENIED)
    return PART_IDS_FROM + crc32(f"{key}/{bits}".encode()) % PART_IDS if bits else first


def _segment(number: int, name: str, operator: str, user_ids: Sequence[str]) -> Wire:
    return {"id": number, "name": name, "constraints": [wire_constraint("userId", operator, user_ids)]}


def _is_enabled(flag: RolloutFlag, now: datetime, *, is_open: bool) -> bool:
    if flag.switch_in_force is not None:
        return flag.switch_in_force
    guarded = flag.guard_expires_at is None or now < flag.guard_expires_at
    return is_open and guarded and flag.latched is None


def _strategies(flag: RolloutFlag, segments: Mapping[SegmentKind, list[Wire]]) -> list[Wire]:
    """Return the strategies that are open, in the order in which `evaluate` asks."""
    exposure = flag.exposure
    denied = [wire["id"] for wire in segments.get(SegmentKind.DENIED, ())]
    strategies = [
        _default([*denied, segment_id(flag.key, kind)])
        for kind in (SegmentKind.ALLOWED, SegmentKind.BETA)
        if kind in segments
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
    """Let in everybody in the segments, anonymous users included."""
    return {"name": "default", "parameters": {}, "constraints": [], "segments": list(segments), "variants": []}


def _rollout(key: str, percentage: int, *, constraints: Iterable[Wire] = (), segments: Iterable[int] = ()) -> Wire:
    """Let in a share of the users with an id: any other stickiness would scatter who comes without."""
    return {
        "name": "flexibleRollout",
        "parameters": {"rollout": str(percentage), "stickiness": "userId", "groupId": key},
        "constraints": list(constraints),
        "segments": list(segments),
        "variants": [],
    }


def _signed_up_after(instant: datetime) -> list[Wire]:
    """Return what is met by a later signup; a date in any other spelling, or none, is not later in any engine."""
    return [
        wire_constraint(SIGNUP_DATE, "STR_STARTS_WITH", later_prefixes(instant)),
        wire_constraint(SIGNUP_DATE, "STR_ENDS_WITH", [ZULU]),
    ]
