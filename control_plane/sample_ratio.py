"""Whether those who have the flag are the share of those asked that the plan wants. Pure but for the registry.

Who can count them stands above; it registers itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.phases import Rollout

METER = "ratio_meter"


@dataclass(frozen=True, slots=True)
class Split:
    """Distinct users whom a percentage decided: how many it let in, of how many, and which share it should."""

    inside: int
    total: int
    share: float


Meter = Callable[[Session, Rollout, datetime], Split | None]
"""Counts the users whom the present step decided since an instant; None where no percentage decides."""


def register_meter(meter: Meter) -> None:
    """Let `meter` count; call it inside an application context."""
    current_app.extensions[METER] = meter


def measured(session: Session, rollout: Rollout, since: datetime) -> Split | None:
    """The split since `since`; None where nobody can count it or nothing is split."""
    meter: Meter | None = current_app.extensions.get(METER)
    return meter(session, rollout, since) if meter else None
