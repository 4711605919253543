"""The credits of one user: both books side by side, and the journal that they are projections of."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from credits_engine.engines.amounts import KINDS, Amounts, Kind
from credits_engine.engines.decisions import Book, EngineName
from credits_engine.engines.packs import Pack
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations import account_books
from credits_engine.operations.routing import flag_lookup
from credits_engine.store import accounts, journal, members
from credits_engine.store.accounts import Account
from credits_engine.store.journal import Filters
from dashboards.language import gettext

PAGE_ENTRIES = 30
DIFFERING_MAX = 8
CAUTION_SHARE, FULL_SHARE = 0.75, 0.9


@dataclass(frozen=True, slots=True)
class KindView:
    """One kind of credit in one book. A limit of None is unlimited."""

    kind: str
    used: int
    limit: int | None

    @property
    def remaining(self) -> int | None:
        """Return the credits left; negative where the shadow's book was charged beyond its limit."""
        return None if self.limit is None else self.limit - self.used

    @property
    def share(self) -> float:
        """The part of the limit that is used, 0 to 1."""
        return min(1.0, self.used / self.limit) if self.limit else float(self.limit == 0)

    @property
    def tone(self) -> str:
        """Calm below three quarters, urgent from nine tenths."""
        if self.share < CAUTION_SHARE:
            return "good"
        return "caution" if self.share < FULL_SHARE else "bad"


@dataclass(frozen=True, slots=True)
class BookView:
    """One engine's book in the current period."""

    engine: EngineName
    serving: bool
    period_start: datetime
    period_end: datetime
    kinds: tuple[KindView, ...]


@dataclass(frozen=True, slots=True)
class OperationView:
    """One journal row. A charge of None is an engine that was not asked; what was posted moved that engine's book."""

    id: int
    at: datetime
    user_id: str
    type: str
    requested: Amounts
    charged: Amounts
    v2_posted: Amounts
    legacy_posted: Amounts
    v2_charged: Amounts | None
    legacy_charged: Amounts | None
    engine: str | None
    outcome: str | None
    variance: str | None
    cause: str | None
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class CreditsScreen:
    """The form, and what is known of the user once one is named. `older` continues the journal."""

    kinds: ClassVar[list[Kind]] = KINDS

    now: datetime
    user_id: str
    account: Account | None
    books: tuple[BookView, ...]
    because: str
    problem: str | None
    entries: tuple[OperationView, ...]
    older: int | None
    packs: tuple[Pack, ...] = ()
    """Credits besides the plan, bought or rolled over."""
    spends_from: str | None = None
    """The account that this user's operations are taken from, where it is not their own."""


def read(session: Session, user_id: str, *, before: int | None, now: datetime) -> CreditsScreen:
    """Return the screen of one user, or of the latest operations on which the engines differ."""
    if not user_id:
        differing = journal.variances(session, Filters(), limit=DIFFERING_MAX)
        return CreditsScreen(now, "", None, (), "", None, tuple(map(operation_view, differing.rows)), None)
    found = accounts.find(session, user_id)
    if found is None:
        detail = gettext(
            "The directory has no user %(user)s; `rollout directory import` adds users.", user=repr(user_id)
        )
        return CreditsScreen(now, user_id, None, (), "", detail, (), None)
    account, _ = found
    routed = flag_lookup(session, now)(account)
    books, packs, problem = _books(session, account, routed.engine, now)
    page = journal.entries(session, Filters(user_id=user_id, before_id=before), limit=PAGE_ENTRIES)
    entries = tuple(map(operation_view, page.rows))
    member = members.find(session, user_id)
    spends_from = member.account_id if member and not member.has_ended(now) else None
    return CreditsScreen(
        *(now, user_id, account, books, routed.reason, problem, entries, page.next_before, packs, spends_from)
    )


def _books(
    session: Session, account: Account, serving: EngineName, now: datetime
) -> tuple[tuple[BookView, ...], tuple[Pack, ...], str | None]:
    try:
        both = account_books.read_books(session, account, now)
    except UnknownPlanError as error:
        return (), (), str(error)
    return tuple(_book(both.of(engine), engine, serving) for engine in (serving, serving.other)), both.packs, None


def _book(book: Book, engine: EngineName, serving: EngineName) -> BookView:
    kinds = tuple(KindView(kind, book.used[kind], book.limits[kind]) for kind in KINDS)
    return BookView(engine, engine is serving, book.period.start, book.period.end, kinds)


def operation_view(row: Mapping[str, Any]) -> OperationView:
    """Return a journal row as a page shows it."""
    return OperationView(
        id=row["id"],
        at=row["occurred_at"],
        user_id=row["user_id"],
        type=row["type"],
        requested=row["requested"],
        charged=row["charged"],
        v2_posted=row["v2_posted"],
        legacy_posted=row["legacy_posted"],
        v2_charged=row["v2_charged"],
        legacy_charged=row["legacy_charged"],
        engine=row["served_engine"],
        outcome=row["outcome"],
        variance=row["variance"],
        cause=row["cause"],
        reason=row["reason"],
        actor=row["actor"],
    )
