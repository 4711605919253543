"""Limits on what a step may put at stake before a person looks: users, operations, credits.

Who can measure what the candidate did stands above; it registers itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.core.phases import Phase
from control_plane.platform.extensions import AppState


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """The impact of the candidate since an instant: users, operations, and the credits it charged differently."""

    users: int = 0
    operations: int = 0
    credits_at_risk: int = 0


ImpactQuery = Callable[[Session, datetime], BlastRadius]
"""Measures what the candidate served since an instant."""


@dataclass(frozen=True, slots=True)
class Compensation:
    """What the candidate took by mistake and is to be given back: to how many users, and how many credits."""

    users: int = 0
    credits: int = 0


CompensationQuery = Callable[[Session, datetime], Compensation]
"""Adds up what the candidate has taken by mistake since an instant. It must be quick: a rollback waits for it."""

COMPENSATION_QUERIES = AppState[dict[str, CompensationQuery]]("compensation_queries", dict)
"""By flag."""
IMPACT_QUERIES = AppState[dict[str, ImpactQuery]]("impact_queries", dict)
"""By flag."""


def register_impact_query(flag: str, meter: ImpactQuery) -> None:
    """Let `meter` measure the blast radius of `flag`; call it inside an application context."""
    IMPACT_QUERIES.get()[flag] = meter


def current_impact(session: Session, flag: str, since: datetime) -> BlastRadius:
    """Measure what the candidate served since `since`; all zero where no query is registered."""
    meter = IMPACT_QUERIES.get().get(flag)
    return meter(session, since) if meter else BlastRadius()


def register_compensation_query(flag: str, query: CompensationQuery) -> None:
    """Let `query` say what users of `flag` are to be given back; call it inside an application context."""
    COMPENSATION_QUERIES.get()[flag] = query


def compensation_due(session: Session, flag: str, since: datetime) -> Compensation:
    """Add up what the candidate has taken by mistake since `since`; nothing where no query is registered."""
    query = COMPENSATION_QUERIES.get().get(flag)
    return query(session, since) if query else Compensation()


def has_limits(phase: Phase) -> bool:
    """Return whether the phase has any limit, so that measuring is worth its price."""
    return any(cap is not None for cap in (phase.users_maximum, phase.operations_maximum, phase.credits_maximum))


def violated_limits(phase: Phase, blast: BlastRadius) -> list[str]:
    """Return each cap of the phase that `blast` is over, as a sentence."""
    compared = (
        ("users served by v2", blast.users, phase.users_maximum),
        ("operations served by v2", blast.operations, phase.operations_maximum),
        ("credits charged differently", blast.credits_at_risk, phase.credits_maximum),
    )
    return [
        f"{count:,} {what} in this step, {cap:,} are allowed." for what, count, cap in compared if _over(count, cap)
    ]


def _over(count: int, cap: int | None) -> bool:
    return cap is not None and count > cap
