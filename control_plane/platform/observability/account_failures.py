"""How much of the failures of single accounts counts against everybody.

A broken account, or a client that tries again and again, says something about itself. So within an hour the failures of
one account count up to one more than a third of all that count: one account alone counts once, two count twice, and
from three on everything counts. What lies beyond is excess: no evidence against a release, but none for it either.
Retries of one operation count once. Only hashes are stored, and only for the running hour and the one before;
shares within four weeks (`account_hours`), for those.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from hashlib import blake2b
from typing import NamedTuple, cast

from sqlalchemy import Executable, Table, bindparam, or_, select
from sqlalchemy.orm import Session

from control_plane.platform.db import database
from control_plane.platform.db.database import DialectInsert, per_dialect
from control_plane.platform.db.fastpath import CompiledStatement
from control_plane.platform.models import SignalAccount
from control_plane.signal_names import ACCOUNTS, SHARES

WINDOW_SECONDS = 3600
"""At four operations a minute an account that fails once in five minutes would look like 5 % of everybody."""
SHARE_HOURS = 28 * 24
"""As long as an attempt is planned to take: an account that counted once a day would roll a small service back."""
SHARE_OF_ONE = 3
"""An account's failures count while they are at most one in so many of all that count."""
ACCOUNTS_MAX = 1000
"""So many failing accounts are no single one's fault: from here on everything counts and nothing more is stored."""

SERVED = "served"

TABLE = cast(Table, SignalAccount.__table__)


def _add(insert: DialectInsert) -> Executable:
    statement = insert(TABLE)
    added = {"bad": TABLE.c.bad + statement.excluded.bad}
    return statement.on_conflict_do_update(index_elements=list(TABLE.primary_key), set_=added)


ADD = CompiledStatement(per_dialect(_add))
ADD_ONCE = CompiledStatement(per_dialect(lambda insert: insert(TABLE).on_conflict_do_nothing()))
COUNTED = CompiledStatement(
    select(TABLE.c.account, TABLE.c.bad)
    .where(
        TABLE.c.signal == bindparam("signal"),
        TABLE.c.engine == bindparam("engine"),
        TABLE.c.window == bindparam("window"),
        TABLE.c.bad > 0,
    )
    .limit(ACCOUNTS_MAX)
)


class Failure(NamedTuple):
    """A failure of one account: which signal, engine and role, and the operation's key where it may be retried."""

    signal: str
    engine: str
    role: str
    account: str
    operation: str | None


Series = tuple[str, str, str]
"""Signal, engine and role."""


def countable(counted: Mapping[str, int], failures: Mapping[str, int]) -> dict[str, int]:
    """Return how many of each account's further failures count, where `counted` count already."""
    total, mine, taken = sum(counted.values()), Counter(counted), Counter[str]()
    waiting = dict(failures)
    # One failure of each account a round, so that all of them rise together and the order of the names decides nothing.
    while admitted := [name for name in waiting if mine[name] * SHARE_OF_ONE <= total]:
        for name in admitted:
            if mine[name] * SHARE_OF_ONE > total:
                continue
            mine[name], taken[name], total = mine[name] + 1, taken[name] + 1, total + 1
            waiting[name] -= 1
            if not waiting[name]:
                del waiting[name]
    return dict(taken)


class Admitted(NamedTuple):
    """How many failures of a series count, how many are excess, and how many accounts failed in the hour."""

    series: Series
    counting: int
    excess: int
    accounts: int


def admit(session: Session, failures: Mapping[Failure, int], now: datetime) -> tuple[Counter[Series], Counter[Series]]:
    """Return how many of `failures` count, and how many are excess, whichever process saw them; remember those."""
    counting, excess = Counter[Series](), Counter[Series]()
    for each in admit_each(session, failures, now):
        counting[each.series], excess[each.series] = each.counting, each.excess
    return +counting, +excess


def admit_each(
    session: Session,
    failures: Mapping[Failure, int],
    now: datetime,
    *,
    accounts_max: int = ACCOUNTS_MAX,
    hours: int = 1,
) -> list[Admitted]:
    """Return the same, series by series; from `accounts_max` failing accounts on everything counts.

    Shares are of so many `hours`.
    """
    # Two processes that write at once may both count an account's first failure; by one or two an hour no test changes.
    window = int(now.timestamp()) // WINDOW_SECONDS // hours * hours
    by_series: dict[Series, list[tuple[Failure, int]]] = defaultdict(list)
    for failure, number in failures.items():
        by_series[failure[:3]].append((failure, number))
    # In one order, so that two processes don't wait for each other in a circle.
    return [_admit(session, series, by_series[series], window, accounts_max) for series in sorted(by_series)]


def hashed(*names: str) -> str:
    """Return a short digest of an account's name, or of an operation's."""
    # A half of a surrogate pair is no text for UTF-8; refused here, it would come back with each flush for good.
    return blake2b("\0".join(names).encode(errors="surrogatepass"), digest_size=12).hexdigest()


def begin_hour(session: Session, signal: str, engine: str, began_at: datetime) -> bool:
    """Note that the hour that began then was counted as a whole; False where that was noted before."""
    window = int(began_at.timestamp()) // WINDOW_SECONDS
    row = {"signal": signal, "engine": engine, "window": window, "account": "*", "bad": 0}
    return bool(ADD_ONCE.execute(session, row))


def begin_attempt(session: Session, signals: Collection[str]) -> None:
    """Let the failures of accounts share anew: after an incident one account's share of it would be many."""
    counted = TABLE.c.signal.in_(signals), TABLE.c.account != "*", TABLE.c.bad > 0
    database.execute_core(session, TABLE.delete().where(*counted))
    by_account = [name + suffix for name in signals for suffix in (ACCOUNTS, ACCOUNTS + SHARES)]
    database.execute_core(session, TABLE.delete().where(TABLE.c.signal.in_(by_account)))


def forget(session: Session, now: datetime) -> None:
    """Drop the accounts of hours that are over."""
    oldest = int(now.timestamp()) // WINDOW_SECONDS - 1
    of_the_hour = TABLE.c.signal.not_like(f"%{SHARES}")
    is_over = or_(TABLE.c.window < oldest - SHARE_HOURS, of_the_hour & (TABLE.c.window < oldest))
    database.execute_core(session, TABLE.delete().where(is_over, TABLE.c.account != "*"))


def _admit(
    session: Session, series: Series, failures: list[tuple[Failure, int]], window: int, accounts_max: int
) -> Admitted:
    """Admit the failures of a series, without retries."""
    signal, engine, role = series
    row = {"signal": signal, "engine": engine if role == SERVED else f"{engine} {role}", "window": window}
    counted = dict(COUNTED.fetch_all(session, row))
    if len(counted) >= accounts_max:
        return Admitted(series, sum(number for _, number in failures), 0, len(counted))
    fresh = Counter[str]()
    for failure, number in sorted(failures, key=lambda each: (each[0].account, each[0].operation or "")):
        fresh[hashed(failure.account)] += number if failure.operation is None else _is_first(session, row, failure)
    fresh = +fresh
    found = countable(counted, fresh)
    ADD.execute_many(session, [{**row, "account": account, "bad": bad} for account, bad in sorted(found.items())])
    counting = sum(found.values())
    return Admitted(series, counting, fresh.total() - counting, len({*counted, *fresh}))


def _is_first(session: Session, row: Mapping[str, object], failure: Failure) -> bool:
    assert failure.operation is not None
    return bool(ADD_ONCE.execute(session, {**row, "account": hashed(failure.account, failure.operation), "bad": 0}))
