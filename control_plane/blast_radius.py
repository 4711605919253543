"""How much a step may put at stake before somebody looks: users, operations, credits. Pure but for the registry.

Who can measure what v2 did stands above; it registers itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from flask import current_app
from sqlalchemy.orm import Session

from control_plane.phases import Phase

METER = "blast_meter"


@dataclass(frozen=True, slots=True)
class Blast:
    """What v2 served since an instant: distinct users, operations, and by how many credits it charged differently."""

    users: int = 0
    operations: int = 0
    credits_at_risk: int = 0


Meter = Callable[[Session, datetime], Blast]
"""Measures what v2 served since an instant."""


def register_meter(flag: str, meter: Meter) -> None:
    """Let `meter` measure the blast radius of `flag`; call it inside an application context."""
    current_app.extensions.setdefault(METER, {})[flag] = meter


def measured(session: Session, flag: str, since: datetime) -> Blast:
    """What was served behind `flag` since `since`; nothing where nobody can measure it."""
    meter: Meter | None = current_app.extensions.get(METER, {}).get(flag)
    return meter(session, since) if meter else Blast()


def is_capped(phase: Phase) -> bool:
    """Whether the phase has any cap, so that measuring is worth its price."""
    return any(cap is not None for cap in (phase.users_maximum, phase.operations_maximum, phase.credits_maximum))


def exceeded(phase: Phase, blast: Blast) -> list[str]:
    """Each cap of the phase that `blast` is over, as a sentence."""
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
