"""The flip preview over the directory, a page of users at a time; nothing is locked and nothing is written."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.switch_preview import AnswerDiff, SwitchSummary, answer_diffs
from credits_engine.operations import account_books
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import switch_preview

PAGE = 1_000
LOOKED_AT_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Preview:
    """The affected users among those examined, and the place of the next page; None behind the last user."""

    flips: tuple[AnswerDiff, ...]
    summary: SwitchSummary
    next_after: str | None


def preview(
    session: Session,
    after: str,
    *,
    now: datetime,
    amount: int = 1,
    most: int = LOOKED_AT_MAX,
    enough: int | None = None,
) -> Preview:
    """Look at up to `most` users after `after`, or stop at the end of the user with whom `enough` were found."""
    found: list[AnswerDiff] = []
    summary = SwitchSummary()
    for user_id, each in _each(session, after, now=now, amount=amount):
        summary.count(each)
        found += each
        after = user_id
        if summary.users >= most or (enough is not None and len(found) >= enough):
            return Preview(tuple(found), summary, after)
    return Preview(tuple(found), summary, None)


def _each(session: Session, after: str, *, now: datetime, amount: int) -> Iterator[tuple[str, list[AnswerDiff]]]:
    evaluate = flag_lookup(session, now)
    while page := switch_preview.page(session, after, now=now, most=PAGE):
        for found in page:
            account = found.account
            try:
                loaded = account_books.books_at(found, now)
            except UnknownPlanError:
                # Neither engine judges such a user; `verify` and the sweep name the plan.
                yield account.user_id, []
                continue
            serving = evaluate(account).engine
            yield (
                account.user_id,
                answer_diffs(account.user_id, account.plan, loaded.of, serving=serving, amount=amount),
            )
        after = page[-1].account.user_id
