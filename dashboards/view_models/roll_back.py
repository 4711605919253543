"""What can be rolled back now, for the page that is one click away from every other."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import Rollout, exposure
from control_plane.rollouts import store
from dashboards import summaries

LISTED_MAX = 50


@dataclass(frozen=True, slots=True)
class RollBackLine:
    """A rollout, whom it reaches, and whether anybody in production is among them."""

    rollout: Rollout
    reach: str
    in_production: bool

    @property
    def in_all(self) -> bool:
        """Return whether a rollback is to take it from development and staging, where alone anybody has it."""
        return not self.in_production and not self.rollout.plan.is_of_one_environment


@dataclass(frozen=True, slots=True)
class RollBackScreen:
    """The rollouts that are not rolled back, those in production first."""

    now: datetime
    text: str
    lines: Sequence[RollBackLine]
    total: int


def read(session: Session, text: str, now: datetime) -> RollBackScreen:
    """Return the rollouts whose name has `text` in it."""
    found = [
        RollBackLine(each, summaries.reach_now(each), in_production=not exposure(each, PRODUCTION).empty)
        for each in store.load_all(session)
        if not each.latched and not each.archived and text.casefold() in each.flag.casefold()
    ]
    found.sort(key=lambda line: (not line.in_production, line.rollout.flag))
    return RollBackScreen(now, text, found[:LISTED_MAX], len(found))
