"""The move to v2: a running period for every user, and what legacy counted before there was a journal carried over.

What legacy's book holds beyond the journal was counted by the system before this one. It becomes an `import` row that
posts to both books, so running it again finds nothing left to carry.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.platform.db.database import read_only, transaction
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.receipts import EntryType
from credits_engine.operations.account_books import load_for_update
from credits_engine.store import accounts, books, journal, migration

ACTOR = "backfill"
REASON = "Counted by legacy before there was a journal."


@dataclass(frozen=True, slots=True)
class BackfillResult:
    """The result for one user, or the error."""

    user_id: str
    opened: bool = False
    carried: Amounts = NOTHING
    error: str | None = None

    @property
    def changed(self) -> bool:
        return self.opened or self.carried != NOTHING


class _Discarded(Exception):  # noqa: N818 - no error: how a dry run ends
    """Rolls back what a dry run did."""


def backfill(
    *, now: datetime, batch_size: int, after: str = "", dry_run: bool = False
) -> Iterator[list[BackfillResult]]:
    """Go through the directory, one transaction per batch; a dry run does the same and keeps nothing."""
    while True:
        with read_only() as session:
            users = migration.users_after(session, after, most=batch_size)
        if not users:
            return
        done: list[BackfillResult] = []
        with suppress(_Discarded), transaction() as session:
            done += [_backfill_user(session, user_id, now) for user_id in users]
            if dry_run:
                raise _Discarded
        yield done
        after = users[-1]


def _backfill_user(session: Session, user_id: str, now: datetime) -> BackfillResult:
    try:
        with session.connection().begin_nested():
            return _carry_over(session, user_id, now)
    except (UnknownPlanError, ValueError) as error:
        return BackfillResult(user_id, error=str(error.args[0]))


def _carry_over(session: Session, user_id: str, now: datetime) -> BackfillResult:
    found = accounts.find(session, user_id)
    if found is None:
        return BackfillResult(user_id, error="The user left the directory meanwhile.")
    opened = books.show_current(session, user_id, now) is None
    loaded, _ = load_for_update(session, found[0], key="", now=now)
    # The difference and not the count: run again, what was carried is in the journal and nothing is left.
    carried = loaded.legacy.used - migration.journalled(session, user_id, calendar_month(now).start)
    if min(carried.figures, default=0) < 0:
        raise ValueError(f"Legacy's book of {user_id!r} holds less than the journal; run `rollout credits reconcile`.")
    if carried != NOTHING:
        books.post_each(session, user_id, v2=(loaded.v2.period, carried), legacy=(loaded.legacy.period, NOTHING))
        journal.append(
            session,
            {
                "type": EntryType.IMPORT.value,
                "occurred_at": now,
                "user_id": user_id,
                "reason": REASON,
                "actor": ACTOR,
                "v2_period_start": loaded.v2.period.start,
                "v2_period_end": loaded.v2.period.end,
                "v2_posted": carried,
                "legacy_period_start": loaded.legacy.period.start,
                "legacy_period_end": loaded.legacy.period.end,
                "legacy_posted": carried,
            },
        )
    return BackfillResult(user_id, opened, carried)
