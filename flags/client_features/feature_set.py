"""One feature set: an environment's flags as of one change, prepared for everyone who may ask for them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from flags.client_features.delta_log import tag
from flags.evaluation.rollout_flag import RolloutFlag
from flags.unleash.compiler import Wire, compile_flag, merge_parts, next_change_at
from flags.unleash.feature_payload import FeaturePayload

ALWAYS = datetime.max.replace(tzinfo=UTC)
STATES_PER_REVISION = 16
ID_LIMIT = 2**31
"""Above all ids: official engines read an event's id as 32 bits, and take nothing of an event with a greater one."""


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """The stored flags of an environment at `revision`.

    Flags under a rollout carry no lease here: whether the guard is alive is decided when the feature set is made. The
    aliases are the names in backups.
    """

    environment: str
    revision: int
    rollout_flags: Annotated[Mapping[str, RolloutFlag], Field(alias="phased")]
    definitions: Annotated[tuple[Wire, ...], Field(alias="features")] = ()
    segments: tuple[Wire, ...] = ()


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The flags of one environment until the next change, or until `next_change_at` changes them without one.

    Two feature sets with the same `tag` have the same contents, whichever process made them. `rollout_flags` are the
    flags under a rollout, ready to evaluate. `guard_ended_at` is None where the guard's lease was held. `left_out`
    names listed users whom SDKs can't be told of, `unsent` is how many are let in and too many to travel.
    """

    id: int
    source: FeatureSource
    contents: FeaturePayload
    rollout_flags: Mapping[str, RolloutFlag]
    guard_ended_at: datetime | None
    next_change_at: datetime | None
    left_out: tuple[str, ...] = ()
    unsent: int = 0
    projects: tuple[str, ...] = ()
    """The projects it is held to; none for all."""

    @property
    def tag(self) -> str:
        """Identify the feature set: equal tags have equal contents."""
        return tag(self.id, self.contents)

    @property
    def environment(self) -> str:
        """The environment it is for."""
        return self.source.environment


def build(
    source: FeatureSource,
    now: datetime,
    *,
    guard_ended_at: datetime | None,
    before: FeatureSet | None = None,
    upstream_id: int | None = None,
) -> FeatureSet:
    """Return the feature set of `source` at `now`, under the id of `before` where SDKs are given the very same.

    A relay gives it the id that it has upstream.
    """
    rollout_flags = {name: _guarded(flag, guard_ended_at) for name, flag in source.rollout_flags.items()}
    compiled = [compile_flag(flag, now) for flag in rollout_flags.values()]
    contents = FeaturePayload.of(
        [
            *(wire for wire in source.definitions if wire["name"] not in rollout_flags),
            *(each.feature for each in compiled),
        ],
        [*source.segments, *merge_parts(segment for each in compiled for segment in each.segments)],
        before=before.contents if before else None,
    )
    same = before is not None and before.contents.digest == contents.digest
    changes = (next_change_at(flag, now) for flag in source.rollout_flags.values())
    feature_set = FeatureSet(
        id=(_id(source, now, guard_ended_at) if upstream_id is None else upstream_id) % ID_LIMIT,
        source=source,
        contents=contents,
        rollout_flags=rollout_flags,
        guard_ended_at=guard_ended_at,
        next_change_at=min(filter(None, changes), default=None),
        left_out=tuple(sorted({user_id for each in compiled for user_id in each.left_out})),
        unsent=sum(each.unsent for each in compiled),
    )
    # Same contents under the same id: a change that this environment does not show wakes no SDK.
    return replace(feature_set, id=before.id, contents=before.contents) if before and same else feature_set


def of_projects(feature_set: FeatureSet, projects: tuple[str, ...], before: FeatureSet | None = None) -> FeatureSet:
    """Return what a token of these projects shows of a feature set, under the id of `before` where that is the same."""
    contents = feature_set.contents.of_projects(projects)
    held = replace(
        feature_set,
        contents=contents,
        rollout_flags={name: flag for name, flag in feature_set.rollout_flags.items() if name in contents.features},
        projects=projects,
    )
    same = before is not None and before.contents.digest == contents.digest
    # As above: a change of another project wakes nobody.
    return replace(held, id=before.id, contents=before.contents) if before and same else held


def is_current(feature_set: FeatureSet, now: datetime, *, guard_ended_at: datetime | None) -> bool:
    """Return whether nothing that time alone changes has changed since it was built."""
    guard_is_back = feature_set.guard_ended_at is not None and guard_ended_at is None
    return not guard_is_back and is_servable(feature_set, now, guard_ended_at=guard_ended_at)


def is_servable(feature_set: FeatureSet, now: datetime, *, guard_ended_at: datetime | None) -> bool:
    """Return whether it may still be served, if need be while a newer one is being built.

    That can be said of one made while the guard was away: it lets in too few, never too many.
    """
    if feature_set.next_change_at is not None and now >= feature_set.next_change_at:
        return False
    return feature_set.guard_ended_at is not None or guard_ended_at is None


def _guarded(flag: RolloutFlag, ended_at: datetime | None) -> RolloutFlag:
    """Decide the lease of the flag: a feature set is replaced when the lease ends, so it never reads the clock."""
    if flag.guard_expires_at is None:
        return flag
    return replace(flag, guard_expires_at=ended_at or ALWAYS)


def _id(source: FeatureSource, now: datetime, guard_ended_at: datetime | None) -> int:
    """Number a feature set by the revision, and by what time alone has changed since.

    The number may come back after many changes, so it identifies a feature set only together with the contents' digest.
    """
    # Every process counts the same ended overrides at the same instant, so ids agree without anybody storing them.
    ended = sum(
        not override.is_active_at(now)
        for flag in source.rollout_flags.values()
        for override in (*flag.denied.values(), *flag.allowed.values())
    )
    return source.revision * STATES_PER_REVISION + (2 * ended + (guard_ended_at is not None)) % STATES_PER_REVISION
