"""Counts of the cohorts that outcomes belong to: a plan, a kind, those near a limit, a busy account.

A sample names its cohorts; for those that do, two more are found here: accounts that had failed before within the
hour, and the accounts with the most traffic. Both are decided before the outcome is known, so a healthy release fails
no more often in them than elsewhere. Memory is bounded, and names of accounts are stored as hashes alone.
"""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import NamedTuple, cast

from sqlalchemy import Executable, Table, case, func, select
from sqlalchemy.orm import Session

from control_plane.cohort_names import ACCOUNT, FAILED_BEFORE, NAME_CHARACTERS, Cohort, Cohorts
from control_plane.platform.db import database
from control_plane.platform.db.database import DialectInsert, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.models import ChangeRow, SignalCohort
from control_plane.platform.observability import account_failures
from control_plane.platform.observability.account_failures import Failure, hashed
from control_plane.platform.observability.account_memory import BusiestAccounts, FailedAccounts

FLUSH_SECONDS = 10
"""Good outcomes alone wait so long: evidence of a fault comes with bad ones, which are written at once."""
KNOWN_DIMENSIONS_MAX = 20
NAMES_MAX = 50
"""Of one dimension; what comes after them is counted in no cohort of it."""
ACCOUNTS_MAX = 30
"""So many failing accounts of a cohort within an hour are no single one's fault."""
FORGET_SECONDS = 86_400
HASH_CHARACTERS = 8

TABLE = cast(Table, SignalCohort.__table__)


REPEATED: Cohorts = (Cohort(FAILED_BEFORE),)


class CohortSample(NamedTuple):
    """One outcome, as `signals.Sample` has it."""

    signal: str
    bad: bool
    engine: str
    account: str | None
    operation: str | None
    cohorts: Cohorts


class CohortSeries(NamedTuple):
    """The key of a count."""

    signal: str
    engine: str
    cohort: Cohort


@dataclass(frozen=True, slots=True)
class CohortCount:
    """Bad outcomes among all, and how many accounts failed in the hour of the last bad one."""

    bad: int
    total: int
    accounts: int


Taken = tuple[Counter[CohortSeries], Counter[tuple[Failure, Cohort]]]


@dataclass(slots=True)
class KnownCohorts:
    """What a process knows of one source's accounts and names, whichever buffer counts them."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    busiest: BusiestAccounts = field(default_factory=BusiestAccounts)
    failed: FailedAccounts = field(default_factory=FailedAccounts)
    names: dict[str, set[str]] = field(default_factory=dict)
    full: set[tuple[str, ...]] = field(default_factory=set)
    """The series of this hour, at this revision, in which everything counts."""
    hour: int = 0
    revision: int = 0

    def has_room(self, dimension: str, name: str) -> bool:
        """Return whether this cohort is counted: the first so many names of the first so many dimensions are."""
        names = self.names.get(dimension)
        if names is None:
            if len(self.names) >= KNOWN_DIMENSIONS_MAX:
                return False
            names = self.names[dimension] = set()
        if name not in names and len(names) >= NAMES_MAX:
            return False
        names.add(name)
        return True

    def turn(self, hour: int) -> None:
        """Begin another hour, if it is one."""
        if hour != self.hour:
            self.hour = hour
            self.busiest.halve()
            self.failed.turn()
            self.full.clear()

    def follow(self, revision: int) -> None:
        """Look anew which series are full where anything was decided since: a new attempt counts accounts anew."""
        if revision != self.revision:
            self.revision = revision
            self.full.clear()


class CohortBuffer:
    """Counts since the last flush."""

    def __init__(self, known: KnownCohorts | None = None) -> None:
        self.known = known or KnownCohorts()
        self._is_of_a_report = known is not None
        self._failed_anew: set[tuple[str, str]] = set()
        """What failed for the first time in a report, which is sent again as a whole where it can't be counted."""
        self._good: Counter[tuple[str, str, Cohorts]] = Counter()
        self._failures: Counter[tuple[Failure, Cohort]] = Counter()
        self._flushed = 0

    def add(self, samples: Sequence[CohortSample]) -> None:
        """Count the outcomes of one operation."""
        with self.known.lock:
            account = next((each.account for each in samples if each.account), None)
            busy = account is not None and self.known.busiest.observe(account)
            # All are looked up before any is remembered: both sides of an operation belong to the same cohorts.
            before = {each.signal for each in samples if account and self.known.failed.holds(each.signal, account)}
            of_account = (Cohort(ACCOUNT, account),) if busy and account else ()
            for signal, bad, engine, _, operation, named in samples:
                cohorts = named + of_account + (REPEATED if signal in before else ())
                if not bad:
                    self._good[signal, engine, cohorts] += 1
                    continue
                for cohort in self._known(cohorts):
                    failure = Failure(signal, engine, " ".join(cohort), account or "", operation)
                    self._failures[failure, cohort] += 1
                if account:
                    if self._is_of_a_report and not self.known.failed.holds(signal, account):
                        self._failed_anew.add((signal, account))
                    self.known.failed.add(signal, account)

    def forget_report(self) -> None:
        """Let nobody have failed by a report that was not counted: sent again, it must not find them failed before."""
        with self.known.lock:
            for signal, account in self._failed_anew:
                self.known.failed.forget(signal, account)

    def is_due(self, now: datetime) -> bool:
        """Return whether anything is to be written at `now`."""
        if self._failures:
            return True
        return bool(self._good) and int(now.timestamp()) // FLUSH_SECONDS != self._flushed

    def end_wait(self) -> None:
        """Let what waits be due at once: nobody writes it later."""
        self._flushed = 0

    @property
    def wait_seconds(self) -> float | None:
        """For how long what is counted here may still wait; None while nothing is."""
        return float(FLUSH_SECONDS) if self._good or self._failures else None

    def take(self, now: datetime) -> Taken:
        """Return everything counted so far; the buffer is empty afterwards."""
        with self.known.lock:
            good: Counter[CohortSeries] = Counter()
            for (signal, engine, cohorts), number in self._good.items():
                for cohort in self._known(cohorts):
                    good[CohortSeries(signal, engine, cohort)] += number
            failures, self._failures, self._good = self._failures, Counter(), Counter()
            self._flushed = int(now.timestamp()) // FLUSH_SECONDS
            self.known.turn(int(now.timestamp()) // account_failures.WINDOW_SECONDS)
            return good, failures

    def put_back(self, taken: Taken) -> None:
        """Return what could not be written, to be tried again."""
        good, failures = taken
        with self.known.lock:
            for (signal, engine, cohort), number in good.items():
                self._good[signal, engine, (cohort,)] += number
            self._failures.update(failures)

    def _known(self, cohorts: Cohorts) -> Iterable[Cohort]:
        """Return the cohorts for which there is room."""
        for dimension, name in cohorts:
            short = name[:NAME_CHARACTERS]
            if dimension == ACCOUNT or self.known.has_room(dimension, short):
                yield Cohort(dimension, short)


def write(session: Session, buffer: CohortBuffer, now: datetime) -> None:
    """Write `buffer` in the caller's transaction; if that rolls back it is kept for the next flush."""
    taken = buffer.take(now)
    database.after_rollback(session, lambda: buffer.put_back(taken))
    good, failures = taken
    bad, accounts = _admit(session, buffer, failures, now)
    at = int(now.timestamp())
    rows = [
        {
            "signal": series.signal,
            "engine": series.engine,
            "dimension": series.cohort.dimension,
            "name": _stored_name(series.cohort),
            "bad": bad[series],
            "total": good[series] + bad[series],
            "accounts": accounts.get(series, 0),
            "at": at,
        }
        for series in sorted(good.keys() | bad.keys())
    ]
    ADD.execute_many(session, rows)


def read(session: Session) -> dict[CohortSeries, CohortCount]:
    """Return all counts since the beginning."""
    rows = ALL.fetch_all(session)
    return {
        CohortSeries(signal, engine, Cohort(dimension, name)): CohortCount(bad, total, accounts)
        for signal, engine, dimension, name, bad, total, accounts in rows
    }


def revision(session: Session) -> int:
    """Return the number of the last decision: a new attempt counts accounts anew."""
    return int(REVISION.fetch_all(session)[0][0] or 0)


def forget(session: Session, now: datetime) -> None:
    """Drop what has not been counted for a day: accounts come and go."""
    database.execute_core(session, TABLE.delete().where(TABLE.c.at < int(now.timestamp()) - FORGET_SECONDS))


def _admit(
    session: Session, buffer: CohortBuffer, failures: Mapping[tuple[Failure, Cohort], int], now: datetime
) -> tuple[Counter[CohortSeries], dict[CohortSeries, int]]:
    """Return what counts: no account speaks for a cohort, but for the cohort that it is."""
    bad: Counter[CohortSeries] = Counter()
    accounts: dict[CohortSeries, int] = {}
    limited: Counter[Failure] = Counter()
    if failures:
        buffer.known.follow(revision(session))
    cohorts: dict[tuple[str, ...], Cohort] = {}
    for (failure, cohort), number in failures.items():
        if cohort.dimension == ACCOUNT or failure[:3] in buffer.known.full:
            series = CohortSeries(failure.signal, failure.engine, cohort)
            bad[series] += number
            accounts[series] = 1 if cohort.dimension == ACCOUNT else ACCOUNTS_MAX
        else:
            limited[failure] += number
            cohorts[failure[:3]] = cohort
    for admitted in account_failures.admit_each(session, limited, now, accounts_max=ACCOUNTS_MAX):
        signal, engine, _ = admitted.series
        series = CohortSeries(signal, engine, cohorts[admitted.series])
        bad[series] += admitted.counting
        accounts[series] = admitted.accounts
        if admitted.accounts >= ACCOUNTS_MAX:
            # Only what is committed is full: of what is put back, no account may speak for a cohort either.
            database.after_commit(session, partial(buffer.known.full.add, admitted.series))
    return +bad, accounts


def _stored_name(cohort: Cohort) -> str:
    return hashed(cohort.name)[:HASH_CHARACTERS] + "…" if cohort.dimension == ACCOUNT else cohort.name


def _add(insert: DialectInsert) -> Executable:
    statement = insert(TABLE)
    excluded = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=list(TABLE.primary_key),
        set_={
            "bad": TABLE.c.bad + excluded.bad,
            "total": TABLE.c.total + excluded.total,
            "accounts": case((excluded.bad > 0, excluded.accounts), else_=TABLE.c.accounts),
            "at": excluded.at,
        },
    )


ADD = CompiledStatement(per_dialect(_add))
ALL = CompiledStatement(select(*TABLE.c["signal", "engine", "dimension", "name", "bad", "total", "accounts"]))
REVISION = CompiledStatement(select(func.max(ChangeRow.id)))
