"""The sample ratio: the share of users who have the flag, beside the share the plan wants.

Who can count them stands above; it registers itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.core.phases import Rollout
from control_plane.platform.extensions import AppState


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Distinct users whom a percentage decided: how many it let in, of how many, and which share it should."""

    inside: int
    total: int
    share: float


RatioQuery = Callable[[Session, Rollout, datetime], SampleRatio | None]
"""Counts the users whom the present step decided since an instant; None where no percentage decides."""

RATIO_QUERY = AppState[RatioQuery | None]("ratio_query", lambda: None)


def register_ratio_query(meter: RatioQuery) -> None:
    """Let `meter` count; call it inside an application context."""
    RATIO_QUERY.set(current_app, meter)


def current_ratio(session: Session, rollout: Rollout, since: datetime) -> SampleRatio | None:
    """Return the split since `since`; None where nobody can count it or nothing is split."""
    meter = RATIO_QUERY.get()
    return meter(session, rollout, since) if meter else None
