"""Both books of an account at an instant: opened when missing, with the limits that are in force."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from sqlalchemy.orm import Session

from control_plane.platform.db.database import is_postgresql
from control_plane.platform.extensions import AppState
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.decisions import Book, EngineName
from credits_engine.engines.packs import Pack
from credits_engine.engines.packs import bought as packs_bought
from credits_engine.engines.periods import Period, calendar_month, fitted, period_at
from credits_engine.engines.plans import CATALOGUE
from credits_engine.engines.receipts import EntryType
from credits_engine.engines.rollovers import raised
from credits_engine.operations.rollovers import PeriodTurn, lock_ended, moved_from, roll_over
from credits_engine.store import accounts, books, journal, packs
from credits_engine.store.accounts import Account, KnownKey
from credits_engine.store.books import AccountView, CounterRow
from credits_engine.store.switch_preview import DirectoryAccount

SYSTEM = "credits"

Packs = tuple[Pack, ...]


class AccountSync(Protocol):
    """Bring an account's directory entry and periods up to the clock; billing registers it.

    Returns the account given where nothing changed, and a fresh one where anything may have.
    """

    def __call__(self, session: Session, account: Account, *, now: datetime) -> Account: ...


ACCOUNT_SYNC = AppState[AccountSync]("account_sync")


def synced_account(session: Session, account: Account, *, now: datetime) -> Account:
    """Return the account as it stands at `now`: what the clock has changed since the last event is made so first.

    So no operation depends on the sweep, which may be late or stopped.
    """
    if account.due_at is None or now < account.due_at:
        return account
    return ACCOUNT_SYNC.get()(session, account, now=now)


@dataclass(frozen=True, slots=True)
class Books:
    """The state that either engine decides by."""

    legacy: Book
    v2: Book
    packs: Packs = ()
    """What was bought besides, the pack that expires soonest first; both books know the sum."""
    legacy_retired: bool = False
    """Whether legacy is not asked any more beside v2; its book goes on all the same."""

    def of(self, engine: EngineName) -> Book:
        """Return the book that `engine` judges by."""
        return self.legacy if engine is EngineName.LEGACY else self.v2


def read_books(session: Session, account: Account, now: datetime) -> Books:
    """Return both books as they stand, without locking or opening anything. Raises UnknownPlanError."""
    row = books.show_current(session, account.user_id, now)
    used = books.show_month(session, account.user_id, calendar_month(now).start)
    return _read(session, account, row, used, now)


def read_account_books(session: Session, user_id: str, now: datetime) -> tuple[AccountView, Books] | None:
    """Return a user and both books as `read_books` has them, in one statement; None when the directory lacks the user.

    Raises UnknownPlanError.
    """
    found = books.view_account(session, user_id, now=now, month_start=calendar_month(now).start)
    if found is None:
        return None
    return found, _read(session, found.account, found.row, found.month_used or NOTHING, now)


def _read(session: Session, account: Account, row: CounterRow | None, used: Amounts, now: datetime) -> Books:
    plan, month = CATALOGUE.plan(account.plan), calendar_month(now)
    if row is None:
        row = CounterRow(_next_period(session, account, now), plan.name, NOTHING, plan.v2)
    bought = packs.usable(session, account.user_id, now) if account.has_packs else ()
    return _books(account, plan, _in_force(row, plan), (month, used), bought)


def books_at(found: DirectoryAccount, now: datetime) -> Books:
    """Return both books of a user on a page of the directory, as `read_books` has them. Raises UnknownPlanError."""
    account, plan = found.account, CATALOGUE.plan(found.account.plan)
    period = period_at(account.billing_anchor, now)
    row = _in_force(found.row or CounterRow(period, plan.name, NOTHING, plan.v2), plan)
    return Books(
        legacy=Book(calendar_month(now), found.legacy_used, plan.legacy, account.frozen, found.bought),
        v2=Book(row.period, row.used, row.limits, account.frozen, found.bought),
    )


@dataclass(frozen=True, slots=True)
class LoadedAccount:
    """What an operation reads first; `view` has the books as well where nobody else can change them any more."""

    account: Account
    known: KnownKey | None
    view: AccountView | None = None


def load_account(session: Session, user_id: str, *, key: str, now: datetime) -> LoadedAccount | None:
    """Load the account, its books and the state of `key`; None when the directory lacks the user.

    SQLite lets one transaction write at a time, so the books are read along with it there: they are locked already.
    """
    if is_postgresql(session):
        found = accounts.find(session, user_id, key=key)
        return None if found is None else LoadedAccount(*found)
    view = books.view_account(session, user_id, now=now, month_start=calendar_month(now).start, key=key)
    return None if view is None else LoadedAccount(replace(view.account, routing=view.routing), view.known, view)


def load_for_update(
    session: Session,
    account: Account,
    *,
    key: str,
    now: datetime,
    known: KnownKey | None = None,
    view: AccountView | None = None,
) -> tuple[Books, KnownKey | None]:
    """Return both books, locked until the transaction ends, and what is known of `key` under those locks.

    `known` is what was known before, `view` what this transaction read of the books under SQLite's write lock. Raises
    UnknownPlanError.
    """
    row = view.row if view else books.lock_current(session, account.user_id, now)
    # Only users with a subscription can be changed by billing, so the others are spared the second query.
    if account.due_at is not None and (row is None or row.plan != account.plan):
        # Billing may have changed the plan or the anchor between our first look and our lock.
        account = accounts.refreshed(session, account)
    plan = CATALOGUE.plan(account.plan)
    # v2's row is locked before legacy's everywhere, so that two operations never wait for each other in a circle.
    if row is None:
        row = _open(session, account, plan, now)
        # What has just rolled over, by us or whoever opened the period before us, is spent by this operation already.
        account = replace(account, has_packs=account.has_packs or bool(CATALOGUE.rolling_plans))
    moved = moved_from(session, account.user_id, row)
    if moved != NOTHING:
        account = replace(account, has_packs=True)
    if row.plan != plan.name:
        row = _follow_plan(session, account.user_id, row, _in_force(row, plan, moved), now)
    month = calendar_month(now)
    if view and view.month_used is not None:
        used = view.month_used
    else:
        used, known = _month(session, account, month, key=key, known=known, is_new=view is not None)
    bought = packs.lock_usable(session, account.user_id, now) if account.has_packs else ()
    return _without(moved, _books(account, plan, row, (month, used), bought)), known


def _month(
    session: Session, account: Account, month: Period, *, key: str, known: KnownKey | None, is_new: bool
) -> tuple[Amounts, KnownKey | None]:
    """Return legacy's count in `month`, opening its row if needed, and the state of `key` under its lock."""
    # On SQLite the view has shown that there is no row, and nobody else can have made one since.
    found = None if is_new else books.lock_month(session, account.user_id, month.start, key=key)
    if found is None and books.open_month(session, account.user_id, month.start):
        return NOTHING, known
    found = found or books.lock_month(session, account.user_id, month.start, key=key)
    assert found is not None  # somebody has just opened it
    return found


def _books(account: Account, plan: CreditPlan, row: CounterRow, month: tuple[Period, Amounts], usable: Packs) -> Books:
    bought = packs_bought(usable) if usable else NOTHING
    return Books(
        legacy=Book(*month, plan.legacy, account.frozen, bought),
        v2=Book(row.period, row.used, row.limits, account.frozen, bought),
        packs=usable,
        legacy_retired=account.legacy_retired,
    )


def _without(moved: Amounts, loaded: Books) -> Books:
    """Let legacy's month lack what rolled over from v2's, as its limits do.

    Whoever waited for the lock across the boundary would spend it a second time.
    """
    legacy = loaded.legacy
    if moved == NOTHING or legacy.period != loaded.v2.period:
        return loaded
    return replace(loaded, legacy=replace(legacy, limits=raised(legacy.limits, -moved)))


def _open(session: Session, account: Account, plan: CreditPlan, now: datetime) -> CounterRow:
    """Open the period that runs now, with nothing used. Of two first requests one opens it and both get its row."""
    # Before the lock on openings, as whoever applies events holds periods first, too.
    ended = lock_ended(session, [account.user_id], now).get(account.user_id)
    # A row that does not exist can't be locked, so an advisory lock stands in for it. While we waited for that, another
    # request may have opened the period: then its row is taken.
    if books.lock_period_openings(session, account.user_id) and (
        row := books.lock_current(session, account.user_id, now)
    ):
        return row
    opened = books.open_period(session, account.user_id, _next_period(session, account, now), plan)
    if ended:
        roll_over(session, [PeriodTurn(account.user_id, ended, opened.period, account.billing_anchor)], now)
    return opened


def _next_period(session: Session, account: Account, now: datetime) -> Period:
    """Return the period to open: from the billing anchor or else the calendar month, never into another period."""
    before, after = books.neighbours(session, account.user_id, now)
    return fitted(period_at(account.billing_anchor, now), not_before=before, not_after=after)


def _in_force(row: CounterRow, plan: CreditPlan, moved: Amounts = NOTHING) -> CounterRow:
    """Return the row with an upgrade applied, which keeps what was used; a downgrade waits for the next period.

    `moved` has rolled over: it is in packs by now, for whoever's clock is behind.
    """
    if row.plan == plan.name or not CATALOGUE.is_upgrade(CATALOGUE.plan(row.plan), plan):
        return row
    return replace(row, plan=plan.name, limits=raised(plan.v2, -moved))


def _follow_plan(session: Session, user_id: str, row: CounterRow, current: CounterRow, now: datetime) -> CounterRow:
    if current is not row:
        books.change_limits(session, user_id, row.period, current.plan, current.limits)
        journal.append(
            session,
            {
                "type": EntryType.LIMIT_CHANGE.value,
                "occurred_at": now,
                "user_id": user_id,
                "reason": f"Upgraded from {row.plan} to {current.plan}: new limits at once, usage kept.",
                "actor": SYSTEM,
                "v2_period_start": row.period.start,
                "v2_period_end": row.period.end,
                "v2_used": row.used,
                "v2_limit": current.limits,
            },
        )
    return current
