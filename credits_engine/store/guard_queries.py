"""The guard's queries on the journal and the books: what is at stake, and whether anything is wrong."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, case, func, select
from sqlalchemy.orm import Session

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.phases import Rollout, exposure
from control_plane.experiments.credits import FLAG
from control_plane.rollouts.blast_radius import BlastRadius
from control_plane.rollouts.sample_ratio import SampleRatio
from credits_engine.amount_types import distance_of, total_of
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import EntryType
from credits_engine.store.journal import DIFFERS, OPERATIONS
from credits_engine.store.tables import JOURNAL, USERS, execute_core

DISTANCE = func.coalesce(distance_of(JOURNAL.c.v2_charged, JOURNAL.c.legacy_charged), 0)
"""By how many credits the engines differ, 0 where one of them gave no answer."""
SERVED_BY_V2 = (
    (JOURNAL.c.served_engine == EngineName.V2.value)
    & JOURNAL.c.type.in_(OPERATIONS)
    & (JOURNAL.c.occurred_at >= bindparam("since", type_=JOURNAL.c.occurred_at.type))
)
BLAST = select(func.count(JOURNAL.c.user_id.distinct()), func.count(), func.sum(DISTANCE)).where(SERVED_BY_V2)
# As `Comparison.blames_only_legacy` says it: what legacy did wrong by itself puts no credits at risk.
BLAMES_LEGACY_ALONE = JOURNAL.c.cause.like(f"{EngineName.LEGACY}:%") & JOURNAL.c.cause.not_like(f"%{EngineName.V2}:%")
APART = select(func.sum(DISTANCE)).where(
    SERVED_BY_V2, JOURNAL.c.variance == Variance.DEFECT.value, DIFFERS, ~func.coalesce(BLAMES_LEGACY_ALONE, False)
)
ROLLBACK_KEYS = "rollback:%"
"""The keys of corrections that an approved report posts: they follow from a rollback and are no sign of a new fault."""
BY_HAND = JOURNAL.c.type.in_((EntryType.ADJUST.value, EntryType.RESET.value)) & func.coalesce(
    JOURNAL.c.operation_key, ""
).not_like(ROLLBACK_KEYS)
CORRECTED = select(
    func.count(case((BY_HAND, JOURNAL.c.user_id)).distinct()), func.count(JOURNAL.c.user_id.distinct())
).where(
    JOURNAL.c.occurred_at >= bindparam("since"),
    JOURNAL.c.occurred_at < bindparam("until"),
    BY_HAND | JOURNAL.c.type.in_(OPERATIONS),
)
SPLITS: dict[str, str] = {
    AudienceKind.NEW_SIGNUPS: "SPLIT: new_signup_inside",
    AudienceKind.EVERYONE: "SPLIT: everyone_inside",
}
OUTSIDE = "DEFAULT: default_off"
FULL = 100
# Materialised, or SQLite would walk the whole journal in the order of users, because that is how it is grouped.
CHARGED = (
    select(JOURNAL.c.user_id, JOURNAL.c.operation_key)
    .where(SERVED_BY_V2, total_of(JOURNAL.c.charged) > 0)
    .cte("charged")
    .prefix_with("MATERIALIZED")
)
CHARGED_TWICE = (
    select(CHARGED.c.user_id, CHARGED.c.operation_key)
    .group_by(CHARGED.c.user_id, CHARGED.c.operation_key)
    .having(func.count() > 1)
)

FAILED = (
    select(*JOURNAL.c["occurred_at", "served_engine", "reason", "shadow_reason", "v2_outcome", "legacy_outcome"])
    .where(JOURNAL.c.variance == bindparam("variance"), DIFFERS)
    .order_by(JOURNAL.c.id.desc())
    .limit(bindparam("most"))
)


BEFORE = func.lag(JOURNAL.c.served_engine).over(
    partition_by=(JOURNAL.c.user_id, JOURNAL.c.v2_period_start), order_by=JOURNAL.c.id
)
IS_MOVE = case((JOURNAL.c.served_engine != BEFORE, 1), else_=0).label("moves")
STEPS = (
    select(JOURNAL.c.user_id, JOURNAL.c.v2_period_start, IS_MOVE)
    .where(
        JOURNAL.c.occurred_at >= bindparam("since"),
        JOURNAL.c.occurred_at < bindparam("until"),
        JOURNAL.c.type.in_(OPERATIONS),
    )
    .subquery()
)
PERIODS = (
    select(STEPS.c.user_id, func.sum(STEPS.c.moves).label("moves"))
    .group_by(STEPS.c.user_id, STEPS.c.v2_period_start)
    .subquery()
)
MOVED = select(
    func.count(case((PERIODS.c.moves > bindparam("more_than"), PERIODS.c.user_id)).distinct()),
    func.count(PERIODS.c.user_id.distinct()),
)


@dataclass(frozen=True, slots=True)
class Failure:
    """That an engine gave no answer, and its error as text."""

    engine: EngineName
    occurred_at: datetime
    error: str


def failures(session: Session, *, most: int) -> list[Failure]:
    """List the newest failures of engines, so many of each role; an index holds just those."""
    found = []
    for variance in (Variance.SERVED_ERROR, Variance.SHADOW_ERROR):
        for row in execute_core(session, FAILED, {"variance": variance.value, "most": most}):
            served = EngineName(row.served_engine)
            outcomes = {EngineName.V2: row.v2_outcome, EngineName.LEGACY: row.legacy_outcome}
            errors = {served: row.reason, served.other: row.shadow_reason}
            failed = [engine for engine, outcome in outcomes.items() if outcome == Outcome.ERROR.value]
            found += [Failure(engine, row.occurred_at, errors[engine] or "") for engine in failed]
    return found


def sample_ratio(session: Session, rollout: Rollout, since: datetime) -> SampleRatio | None:
    """Return the users whom the percentage of the present step decided since `since`; None where no percentage does.

    Everybody who was let in otherwise, or kept out by name, says nothing about the percentage.
    """
    exposed = exposure(rollout, PRODUCTION)
    if rollout.flag != FLAG or rollout.phase.audience not in SPLITS:
        return None
    audience = rollout.phase.audience
    share = exposed.everyone_percentage if audience == AudienceKind.EVERYONE else exposed.new_signups_percentage
    if share >= FULL or _is_mixed_with_attributes(exposed, audience):
        return None
    newcomers = USERS.c.signed_up_at > rollout.plan.new_signups_after
    is_counted = JOURNAL.c.evaluation_reason.in_((SPLITS[audience], OUTSIDE))
    counted = (
        select(
            func.count(case((JOURNAL.c.evaluation_reason == SPLITS[audience], JOURNAL.c.user_id)).distinct()),
            func.count(JOURNAL.c.user_id.distinct()),
        )
        .select_from(JOURNAL)
        .where(is_counted, JOURNAL.c.type.in_(OPERATIONS), JOURNAL.c.occurred_at >= since)
    )
    if audience == AudienceKind.NEW_SIGNUPS:
        counted = counted.join(USERS, USERS.c.user_id == JOURNAL.c.user_id).where(newcomers)
    inside, total = session.execute(counted).one()
    return SampleRatio(inside, total, share / FULL)


def _is_mixed_with_attributes(exposed: Exposure, audience: str) -> bool:
    """Return whether customers whom attributes let in are missing more on one side of the percentage than the other.

    They have a reason of their own in the journal. Only where all of a cohort of everyone are in are both sides alike.
    """
    if audience == AudienceKind.NEW_SIGNUPS:
        return bool(exposed.shares)
    return any(each.percentage < FULL for each in exposed.shares)


def credits_differing(session: Session, since: datetime) -> int:
    """Return how many credits v2 charged too much or too little since `since` without a declared reason."""
    return int(execute_core(session, APART, {"since": since}).scalar() or 0)


def impact(session: Session, since: datetime) -> BlastRadius:
    """Measure what v2 served since `since`."""
    users, operations, apart = execute_core(session, BLAST, {"since": since}).one()
    return BlastRadius(users, operations, int(apart or 0))


def count_users_served_by_v2(session: Session, since: datetime, until: datetime) -> int:
    """Count the users v2 served from `since` until just before `until`."""
    served = (
        JOURNAL.c.served_engine == EngineName.V2.value,
        JOURNAL.c.occurred_at >= since,
        JOURNAL.c.occurred_at < until,
    )
    query = select(func.count(JOURNAL.c.user_id.distinct())).where(*served)
    return int(execute_core(session, query).scalar() or 0)


def corrected(session: Session, since: datetime, until: datetime) -> tuple[int, int]:
    """Count the users corrected by hand, and the active ones."""
    by_hand, active = execute_core(session, CORRECTED, {"since": since, "until": until}).one()
    return by_hand, active


def engine_switches(session: Session, since: datetime, until: datetime, *, more_than: int) -> tuple[int, int]:
    """Count the users who switched engines more often than that within a period, of how many."""
    often, active = execute_core(session, MOVED, {"since": since, "until": until, "more_than": more_than}).one()
    return often, active


def charged_twice(session: Session, since: datetime) -> list[tuple[str, str]]:
    """Return every (user, key) that v2 charged more than once since `since`; there must be none."""
    return [(user_id, key) for user_id, key in execute_core(session, CHARGED_TWICE, {"since": since})]
