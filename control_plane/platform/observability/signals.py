"""Signals for the guard: counts of good and bad outcomes, gathered in memory and written as increments.

Recording costs a dictionary update after the commit. What a killed process had not yet flushed (at most one
flush interval) is missing evidence, never a missing credit.
"""

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, cast

from flask import Flask, current_app
from sqlalchemy import Executable, Table, bindparam, select
from sqlalchemy.orm import Session

from control_plane.cohort_names import Cohorts
from control_plane.platform.db import database
from control_plane.platform.db.database import DialectInsert, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.extensions import AppState
from control_plane.platform.models import SignalMinute, SignalSlice, SignalTotal
from control_plane.platform.observability import account_failures, account_hours, cohort_counts
from control_plane.platform.observability.account_failures import Failure, Series
from control_plane.platform.observability.account_hours import AccountBuffer
from control_plane.platform.observability.cohort_counts import CohortBuffer, CohortSample, KnownCohorts
from control_plane.signal_counts import Counts
from control_plane.signal_names import EXCESS

BOUNDS = AppState[Mapping[str, float]]("signal_bounds", dict)
BUDGETS = AppState[Mapping[str, int]]("signal_budgets", dict)
IS_RESERVED = AppState[Callable[[str], bool] | None]("reserved_signals", lambda: None)
AS_THEY_ARE: Mapping[str, str] = MappingProxyType({})
SLICE_SECONDS = 10
SLICES_KEPT_SECONDS = 3600


def _add_counts(table: Table) -> CompiledStatement:
    """Return the INSERT that adds its counts to those stored; the database adds, so processes merge in any order."""

    def build(insert: DialectInsert) -> Executable:
        statement = insert(table)
        increments = {name: table.c[name] + statement.excluded[name] for name in ("bad", "total")}
        return statement.on_conflict_do_update(index_elements=list(table.primary_key), set_=increments)

    return CompiledStatement(per_dialect(build))


TOTAL, MINUTE, SLICE = (cast(Table, model.__table__) for model in (SignalTotal, SignalMinute, SignalSlice))
TOTALS = CompiledStatement(select(*TOTAL.c["signal", "engine", "role", "bad", "total"]))
MINUTES = CompiledStatement(
    select(*MINUTE.c["signal", "engine", "role", "minute", "bad", "total"])
    .where(MINUTE.c.minute >= bindparam("since"))
    .order_by(MINUTE.c.minute)
)
ADD_TOTAL, ADD_MINUTE, ADD_SLICE = _add_counts(TOTAL), _add_counts(MINUTE), _add_counts(SLICE)


class SeriesKey(NamedTuple):
    """The key of a count: a signal, its engine, and whether that engine served or shadowed."""

    signal: str
    engine: str = ""
    role: str = "served"


class Sample(NamedTuple):
    """One outcome: `account_failures` says how bad ones of an account count, `cohort_counts` how those of cohorts."""

    signal: str
    bad: bool
    engine: str = ""
    role: str = "served"
    account: str | None = None
    operation: str | None = None
    cohorts: Cohorts = ()


class SignalBuffer:
    """Count since the last flush."""

    def __init__(
        self,
        known: KnownCohorts | None = None,
        accounts: AccountBuffer | None = None,
        names: Mapping[str, str] = AS_THEY_ARE,
    ) -> None:
        self.names = names  # where the outcomes of one environment are counted apart
        self._lock = threading.Lock()
        self._good, self._bad = Counter[Series](), Counter[Series]()
        self._failures = Counter[Failure]()
        self.counted = threading.Event()
        self.cohorts = CohortBuffer(known)
        self.accounts = accounts or AccountBuffer()

    def add(self, *observations: Sample) -> None:
        """Count outcomes, those with cohorts of one operation."""
        in_cohorts = []
        with self._lock:
            for name, bad, engine, role, account, operation, cohorts in observations:
                signal = self.names.get(name, name)
                if cohorts:
                    in_cohorts.append(CohortSample(signal, bad, engine, account, operation, cohorts))
                if account is not None and name in self.accounts.signals:
                    self.accounts.add(signal, engine, account, bad=bad)
                if not bad:
                    self._good[signal, engine, role] += 1
                elif account is None:
                    self._bad[signal, engine, role] += 1
                else:
                    self._failures[Failure(signal, engine, role, account, operation)] += 1
            if not self.counted.is_set():  # to set it again costs as much as all of the counting
                self.counted.set()
        if in_cohorts:
            self.cohorts.add(in_cohorts)

    def add_counts(self, counts: Iterable[tuple[SeriesKey, Counts]]) -> None:
        """Add what was counted elsewhere."""
        with self._lock:
            for (signal, *engine_and_role), count in counts:
                series = SeriesKey(self.names.get(signal, signal), *engine_and_role)
                self._good[series] += count.total - count.bad
                self._bad[series] += count.bad
            self.counted.set()

    def take(self) -> tuple[Counter[SeriesKey], Counter[SeriesKey], Counter[Failure]]:
        """Return everything counted so far; the buffer is empty afterwards."""
        with self._lock:
            counts, failures = (self._good, self._bad), self._failures
            self._good, self._bad, self._failures = Counter(), Counter(), Counter()
            self.counted.clear()
        good, bad = (Counter({SeriesKey(*series): each[series] for series in each}) for each in counts)
        return good, bad, failures

    @property
    def filled(self) -> bool:
        """Return whether anything waits for a flush."""
        return bool(self._good or self._bad or self._failures or self.cohorts.wait_seconds)

    def put_back(self, good: Counter[SeriesKey], bad: Counter[SeriesKey], failures: Counter[Failure]) -> None:
        """Return what could not be written, to be tried again."""
        with self._lock:
            self._good.update(good)
            self._bad.update(bad)
            self._failures.update(failures)
            self.counted.set()
        self.cohorts.forget_report()


BUFFER = AppState[SignalBuffer]("signal_buffer")


def record(*observations: Sample) -> None:
    """Count outcomes in this process; call it after the commit they speak of."""
    BUFFER.get().add(*observations)


def set_bounds(seconds: Mapping[str, float]) -> None:
    """Say for each duration from when on it is bad, as the alerts in force have it; inside an application context."""
    BOUNDS.set(current_app, dict(seconds))


def count_by_account(names: Collection[str]) -> None:
    """Say of which signals accounts are counted as well, as the alerts in force have it; in an application context."""
    BUFFER.get().accounts.signals = frozenset(names)


def set_names(names: Mapping[str, str]) -> None:
    """Say under which names this process counts what a rollout of its own environment decides; in a context."""
    BUFFER.get().names = names


def bound_seconds(signal: str, default: float) -> float:
    """Return from when on a duration is bad; inside an application context."""
    return BOUNDS.get().get(signal, default)


def set_budgets(credits_by_signal: Mapping[str, int]) -> None:
    """Say for each budget how much it is, as the alerts in force have it; inside an application context."""
    BUDGETS.set(current_app, dict(credits_by_signal))


def budget(app: Flask, signal: str, default: int) -> int:
    """Return the budget of `signal`."""
    return BUDGETS.get(app).get(signal, default)


def reserve(is_ours: Callable[[str], bool]) -> None:
    """Say which names this program counts itself, so that nobody else adds to them; inside an application context."""
    IS_RESERVED.set(current_app, is_ours)


def is_reserved(name: str) -> bool:
    """Return whether only this program may count `name`."""
    is_ours = IS_RESERVED.get()
    return is_ours is not None and is_ours(name)


def flush(now: datetime) -> None:
    """Write this process's counts in a transaction of their own; on failure they are kept for the next flush."""
    if BUFFER.get().filled:
        with database.transaction() as session:
            write(session, now)


def write(session: Session, now: datetime) -> None:
    """Write this process's counts in the caller's transaction; if that rolls back they are kept for the next flush."""
    _write_buffer(session, BUFFER.get(), now)


def add_samples(
    session: Session,
    operations: Iterable[Sequence[Sample]],
    counts: Iterable[tuple[SeriesKey, Counts]],
    now: datetime,
    *,
    known: KnownCohorts,
    names: Mapping[str, str] = AS_THEY_ARE,
) -> None:
    """Add outcomes, by operation, and counts that somebody else observed, in the caller's transaction."""
    ours = BUFFER.get().accounts
    buffer = SignalBuffer(known, AccountBuffer(ours.known, ours.signals), names)
    for samples in operations:
        buffer.add(*samples)
    buffer.add_counts(counts)
    _write_buffer(session, buffer, now)


def _write_buffer(session: Session, buffer: SignalBuffer, now: datetime) -> None:
    # Taken before the write, so that outcomes counted meanwhile go into the next flush and none is written twice.
    good, bad, failures = taken = buffer.take()
    database.after_rollback(session, lambda: buffer.put_back(*taken))
    if failures:
        counting, excess = account_failures.admit(session, failures, now)
        bad = bad + Counter({SeriesKey(*series): number for series, number in counting.items()})
        bad += Counter({SeriesKey(signal + EXCESS, *rest): number for (signal, *rest), number in excess.items()})
    good, bad = Counter(good), Counter(bad)  # what was taken is kept as it is, to be put back
    for signal, engine, came, turned in account_hours.write(session, buffer.accounts, now):
        good[SeriesKey(signal, engine)] += came
        bad[SeriesKey(signal, engine)] += turned
    _write(session, good, bad, now)
    if buffer.cohorts.is_due(now):
        cohort_counts.write(session, buffer.cohorts, now)


def add(session: Session, series: SeriesKey, count: Counts, now: datetime) -> None:
    """Add what somebody else counted, in the caller's transaction."""
    _write(session, Counter({series: count.total - count.bad}), Counter({series: count.bad}), now)


def add_hour(session: Session, series: SeriesKey, count: Counts, *, began_at: datetime, now: datetime) -> bool:
    """Add what was counted over a full hour, in the caller's transaction; False where that hour was added before.

    A series is counted either in this way or outcome by outcome.
    """
    if not account_failures.begin_hour(session, series.signal, series.engine, began_at):
        return False
    add(session, series, count, now)
    return True


def totals(session: Session) -> dict[SeriesKey, Counts]:
    """Return all counts since the beginning; differences between two readings are the increments."""
    rows = TOTALS.fetch_all(session)
    return {SeriesKey(signal, engine, role): Counts(bad, total) for signal, engine, role, bad, total in rows}


def minutes(session: Session, since: datetime) -> dict[tuple[SeriesKey, int], Counts]:
    """Return counts per series and minute of the epoch, from the minute of `since` on."""
    rows = MINUTES.fetch_all(session, {"since": int(since.timestamp()) // 60})
    return {(SeriesKey(*series), minute): Counts(bad, total) for *series, minute, bad, total in rows}


def _write(session: Session, good: Counter[SeriesKey], bad: Counter[SeriesKey], now: datetime) -> None:
    # One order for everybody: two processes that flush at once must not wait for each other in a circle.
    at = int(now.timestamp())
    times = {"minute": at // 60, "slice": at // SLICE_SECONDS}
    rows = [
        {**series._asdict(), **times, "bad": bad[series], "total": good[series] + bad[series]}
        for series in sorted(good.keys() | bad.keys())
    ]
    ADD_SLICE.execute_many(session, rows)
    ADD_MINUTE.execute_many(session, rows)
    ADD_TOTAL.execute_many(session, rows)


def init_app(app: Flask) -> None:
    """Give the application an empty buffer."""
    BUFFER.set(app, SignalBuffer())
