"""Rollouts by tag, state and words, a page at a time. Pure."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from control_plane.core.lifecycle import Stage, stage
from control_plane.core.phases import Rollout

LIMIT_MAX = 500
PARAMETERS = {
    "tag": "Only those with this tag.",
    "state": "Only those that are running, held, rolled_back, complete or archived.",
    "stage": "Only those that are planned, rolling_out, complete, cleaning_up or retired.",
    "q": "Only those with this text in name, description, owner or a tag.",
    "limit": f"At most so many, up to {LIMIT_MAX}.",
    "cursor": "`next` of the page before.",
}


class ListedState(StrEnum):
    """The states to list by; an archived one has no other."""

    RUNNING = "running"
    HELD = "held"
    ROLLED_BACK = "rolled_back"
    COMPLETE = "complete"
    ARCHIVED = "archived"


class RolloutQuery(BaseModel):
    """Which rollouts, and from where on."""

    model_config = ConfigDict(extra="forbid")

    tag: str = Field(default="", max_length=100)
    state: ListedState | None = None
    stage: Stage | None = None
    q: str = Field(default="", max_length=200)
    limit: int = Field(default=LIMIT_MAX, ge=1, le=LIMIT_MAX)
    cursor: str = Field(default="", max_length=200)


def page(rollouts: Sequence[Rollout], wanted: RolloutQuery, now: datetime) -> tuple[list[Rollout], str | None]:
    """Return one page by name, and the cursor of the next; None after the last."""
    found = sorted((each for each in rollouts if _matches(each, wanted, now)), key=lambda rollout: rollout.flag)
    rest = [each for each in found if each.flag > wanted.cursor]
    chosen = rest[: wanted.limit]
    return chosen, chosen[-1].flag if len(rest) > len(chosen) else None


def _matches(rollout: Rollout, wanted: RolloutQuery, now: datetime) -> bool:
    plan, text = rollout.plan, wanted.q.casefold()
    state = ListedState.ARCHIVED if rollout.archived else ListedState(rollout.state.value)
    if state is not (wanted.state or state) or (rollout.archived and wanted.state is None and wanted.stage is None):
        return False
    if wanted.stage and stage(rollout, now) is not wanted.stage:
        return False
    if wanted.tag and wanted.tag not in plan.tags:
        return False
    return any(text in each.casefold() for each in (rollout.flag, plan.description, plan.owner, *plan.tags))
