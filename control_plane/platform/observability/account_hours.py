"""Accounts by the hour: how many there were, and how many of them had at least one bad outcome.

For alerts that say `per: account`. An account is counted, as good, with its first outcome of an hour, and turns bad
with its first bad one; whichever process saw it, the database tells which is the first. An account that is bad hour
after hour is one account: within four weeks its bad hours count up to one more than a third of all that count, and
what lies beyond is excess, as in `account_failures`. Only hashes are stored, for the running hour and the one before;
that an account counted against its share, for four weeks.
"""

import threading
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db import database
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.observability import account_failures, cohort_counts
from control_plane.platform.observability.account_failures import (
    ADD_ONCE,
    SHARE_HOURS,
    TABLE,
    WINDOW_SECONDS,
    Failure,
    hashed,
)
from control_plane.signal_names import ACCOUNTS, EXCESS, SHARES

REMEMBERED_MAX = 100_000
"""So many accounts of an hour one process counts, of all signals together; whoever comes later is not counted."""

_OF_ACCOUNT = tuple(TABLE.c[name] == bindparam(f"of_{name}") for name in ("signal", "engine", "window", "account"))
TURN_BAD = CompiledStatement(TABLE.update().where(*_OF_ACCOUNT, TABLE.c.bad == 0).values(bad=1))
STILL_GOOD = CompiledStatement(
    select(func.count().label("accounts")).where(
        TABLE.c.signal == bindparam("signal"),
        TABLE.c.engine == bindparam("engine"),
        TABLE.c.window == bindparam("window"),
        TABLE.c.bad == 0,
    )
)


class Side(NamedTuple):
    """A signal and the engine that it is about, whichever role that had."""

    signal: str
    engine: str


class AccountCount(NamedTuple):
    """By how much the counts of a series change; one account that turns bad is one good one less."""

    signal: str
    engine: str
    good: int
    bad: int


@dataclass(slots=True)
class KnownAccounts:
    """Which accounts this process has counted in this hour, so that it asks the database once about each."""

    came: dict[Side, set[str]] = field(default_factory=dict)
    bad: dict[Side, set[str]] = field(default_factory=dict)
    hour: int = 0
    revision: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def turn(self, hour: int, revision: int) -> None:
        """Forget all of them in another hour, and where anything was decided: a new attempt counts them anew."""
        if (hour, revision) != (self.hour, self.revision):
            self.hour, self.revision = hour, revision
            self.came.clear()
            self.bad.clear()

    def admit(self, accounts: Iterable[str], side: Side, taken: int) -> list[str]:
        """Return those that were not counted yet, as far as there is room beside `taken` more."""
        fresh = sorted(set(accounts) - self.came.get(side, set()))
        room = REMEMBERED_MAX - taken - sum(map(len, self.came.values()))
        return fresh[: max(0, room)]

    def turning(self, accounts: Mapping[str, bool], side: Side, fresh: Collection[str]) -> list[str]:
        """Return those that are bad now and were not before, of those that are counted or `fresh`."""
        bad = {account for account, is_bad in accounts.items() if is_bad} - self.bad.get(side, set())
        return sorted((bad & {*fresh}) | (bad & self.came.get(side, set())))


class AccountBuffer:
    """Accounts that were seen since the last write, and whether anything of theirs was bad."""

    def __init__(self, known: KnownAccounts | None = None, signals: Collection[str] = ()) -> None:
        self.known = known or KnownAccounts()
        self.signals = signals
        """The signals that are counted by account as well; of most nobody asks."""
        self._seen: dict[tuple[Side, str], bool] = {}
        self._lock = threading.Lock()

    def add(self, signal: str, engine: str, account: str, *, bad: bool) -> None:
        """Note an outcome of `account`."""
        key = Side(signal, engine), account
        with self._lock:
            self._seen[key] = bad or self._seen.get(key, False)

    def take(self) -> dict[tuple[Side, str], bool]:
        """Return everything seen so far; the buffer is empty afterwards."""
        with self._lock:
            taken, self._seen = self._seen, {}
        return taken

    def put_back(self, taken: Mapping[tuple[Side, str], bool]) -> None:
        """Return what could not be written."""
        for (side, account), bad in taken.items():
            self.add(side.signal, side.engine, account, bad=bad)


def write(session: Session, buffer: AccountBuffer, now: datetime) -> Iterator[AccountCount]:
    """Yield what `buffer` adds to the counts, in the caller's transaction; if that fails the buffer has it again."""
    taken = buffer.take()
    if taken:
        database.after_rollback(session, lambda: buffer.put_back(taken))
        yield from _counts(session, buffer.known, taken, now)


def still_good(session: Session, signal: str, engine: str, now: datetime) -> int:
    """Return how many accounts of the running hour have had no bad outcome yet, and may turn bad."""
    hour = int(now.timestamp()) // WINDOW_SECONDS
    row = STILL_GOOD.fetch_one(session, {"signal": signal + ACCOUNTS, "engine": engine, "window": hour})
    return int(row.accounts)


def _counts(
    session: Session, known: KnownAccounts, taken: Mapping[tuple[Side, str], bool], now: datetime
) -> Iterator[AccountCount]:
    revision = cohort_counts.revision(session)
    hour = int(now.timestamp()) // WINDOW_SECONDS
    by_side: dict[Side, dict[str, bool]] = defaultdict(dict)
    for (side, account), bad in taken.items():
        by_side[side][hashed(account)] = bad
    with known.lock:
        known.turn(hour, revision)
        fresh: dict[Side, list[str]] = {}
        for side in sorted(by_side):
            fresh[side] = known.admit(by_side[side], side, sum(map(len, fresh.values())))
        turning = {side: known.turning(by_side[side], side, fresh[side]) for side in by_side}
    # All in one order, first who came, then who turned bad: two processes don't wait for each other in a circle.
    came = {side: _came(session, side, hour, fresh[side]) for side in sorted(by_side)}
    turned = {side: _turned(session, side, hour, turning[side]) for side in sorted(by_side)}
    shares = _shares(session, turned, now)
    database.after_commit(session, lambda: _remember(known, hour, revision, fresh, turning))
    for side in by_side:
        name, (counting, excess) = side.signal + ACCOUNTS, shares[side]
        yield AccountCount(name, side.engine, came[side] - counting, counting)
        if excess:
            yield AccountCount(name + EXCESS, side.engine, 0, excess)


def _came(session: Session, side: Side, hour: int, accounts: list[str]) -> int:
    row = _row(side, hour)
    return ADD_ONCE.execute_many(session, [{**row, "account": account, "bad": 0} for account in accounts])


def _turned(session: Session, side: Side, hour: int, accounts: list[str]) -> list[str]:
    key = {f"of_{name}": value for name, value in _row(side, hour).items()}
    return [account for account in accounts if TURN_BAD.execute(session, {**key, "of_account": account})]


def _shares(session: Session, turned: Mapping[Side, list[str]], now: datetime) -> dict[Side, tuple[int, int]]:
    """Return how many of those that turned bad count, and how many are excess: no account speaks for all."""
    failures = {
        Failure(side.signal + ACCOUNTS + SHARES, side.engine, account_failures.SERVED, account, None): 1
        for side, accounts in turned.items()
        for account in accounts
    }
    found = dict.fromkeys(turned, (0, 0))
    for each in account_failures.admit_each(session, failures, now, hours=SHARE_HOURS):
        signal, engine, _ = each.series
        found[Side(signal.removesuffix(ACCOUNTS + SHARES), engine)] = each.counting, each.excess
    return found


def _row(side: Side, hour: int) -> dict[str, object]:
    return {"signal": side.signal + ACCOUNTS, "engine": side.engine, "window": hour}


def _remember(
    known: KnownAccounts,
    hour: int,
    revision: int,
    came: Mapping[Side, Collection[str]],
    bad: Mapping[Side, Collection[str]],
) -> None:
    with known.lock:
        if (known.hour, known.revision) == (hour, revision):  # another write may have begun another hour meanwhile
            for side in came:
                known.came.setdefault(side, set()).update(came[side])
                known.bad.setdefault(side, set()).update(bad[side])
