"""The page of Stripe's events: what waits, what was given up, and what differs from Stripe."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from credits_engine.billing import serializers
from credits_engine.billing.store import findings, inbox_queries
from credits_engine.billing.store.inbox import State

PAGE = 50
FINDINGS_MAX = 50
STATES = tuple(State)


@dataclass(frozen=True, slots=True)
class BillingScreen:
    """The inbox as of `now`, of one state or of all; `next_before` continues the list."""

    now: datetime
    state: State | None
    summary: Mapping[str, object]
    events: Sequence[object]
    next_before: int | None
    findings: Mapping[str, object]
    compared_at: datetime | None
    """When everything was compared with Stripe last."""


@dataclass(frozen=True, slots=True)
class EventScreen:
    """One event with its body, its attempts and what it told."""

    now: datetime
    event: Any
    document: Mapping[str, object]

    @property
    def may_replay(self) -> bool:
        """Return whether its body is still there."""
        return self.event.body is not None

    @property
    def body(self) -> str:
        """Return the body as a person reads JSON: indented, every letter as it is; as it came where it is none."""
        found = self.document["body"]
        return found if isinstance(found, str) else json.dumps(found, indent=2, ensure_ascii=False)


def read(session: Session, *, state: State | None, before: int | None, now: datetime) -> BillingScreen:
    """Return a page of the inbox, the newest first."""
    rows = inbox_queries.page(session, state=state, before_id=before, limit=PAGE + 1)
    listed = rows[:PAGE]
    more = listed[-1].id if len(rows) > PAGE else None
    check = findings.check(session)
    compared_at = check.finished_at if check else None
    differing = serializers.findings_page(session, limit=FINDINGS_MAX)
    return BillingScreen(now, state, serializers.summary(session, now), listed, more, differing, compared_at)


def read_event(session: Session, event_id: str, now: datetime) -> EventScreen | None:
    """Return one event; None where the inbox has none of that id."""
    row = inbox_queries.event(session, event_id)
    return EventScreen(now, row, serializers.event_in_full(session, row)) if row else None
