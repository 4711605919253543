"""Failures to sign in, counted in the database: the same limits for every process, and one audit entry a minute.

An attempt is counted before the password is looked at, in one statement for each limit, so no crowd of processes gets
further than one of them. It is taken back when it succeeds.
"""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from flask import Flask
from sqlalchemy import Row, delete, select, update
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, rate_limit
from control_plane.platform.auth.models import PersonRow, SignInFailureRow
from control_plane.platform.auth.rate_limit import Attempt
from control_plane.platform.db.database import dialect_insert, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs

ACCOUNT, CODE, NETWORK = "account:", "code:", "network:"
CODES_A_MINUTE = 5
LIMITS = {ACCOUNT: rate_limit.ACCOUNT.amount, CODE: CODES_A_MINUTE, NETWORK: rate_limit.SIGN_IN.amount}
"""How many failures a minute hold off an account, its codes, or a network."""
MINUTE = 60
RECORD_SECONDS = 60.0
NAMED_MAX = 20
ANONYMOUS = "anonymous"
SUBJECT = "sign-in"


@dataclass(frozen=True, slots=True)
class Limit:
    """How often a minute may fail: for an account (`account:alice`) or from a network (`network:10.0.0.1`)."""

    key: str
    amount: int


@contextmanager
def attempt(limits: tuple[Limit, ...], made: Attempt, now: datetime) -> Iterator[None]:
    """Provide an attempt under these limits, taken back unless `made` says at the end that it failed.

    Raises a 429 Problem beyond any limit, and then counts it against none.
    """
    minute = int(now.timestamp()) // MINUTE
    # Always in the same order: two attempts that share an account and a network must not wait for each other.
    in_order = sorted(limits, key=lambda limit: limit.key)
    with transaction() as session:
        for limit in in_order:
            _count(session, limit, minute, now)
    try:
        yield
    finally:
        if not made.failed:
            with transaction() as session:
                for limit in in_order:
                    _take_back(session, limit.key, minute)


def record_failures(now: datetime) -> None:
    """Write one audit entry about all failures of the minutes that are over, and forget them.

    One and not one for each: whoever guesses a million passwords must not fill the trail with them.
    """
    with transaction() as session:
        # The last whole minute still counts for the limits.
        before = int(now.timestamp()) // MINUTE - 1
        rows: Sequence[Row[str, int, int]] = session.execute(
            delete(SignInFailureRow)
            .where(SignInFailureRow.minute < before)
            .returning(SignInFailureRow.key, SignInFailureRow.minute, SignInFailureRow.failures)
        ).all()
        counts: dict[str, int] = {}
        for key, _, failures in rows:
            counts[key] = counts.get(key, 0) + failures
        counts = {key: number for key, number in counts.items() if number > 0}
        if counts:
            minutes = [minute for _, minute, _ in rows]
            limited = sorted({key for key, _, failures in rows if failures >= LIMITS[key.partition(":")[0] + ":"]})
            _record(session, counts, limited, (min(minutes), max(minutes) + 1), now)


def init_app(app: Flask) -> None:
    """Let the leader write the entries."""
    jobs.run_on_leader(app, RECORD_SECONDS, "record-sign-in-failures", record_failures)


def _count(session: Session, limit: Limit, minute: int, now: datetime) -> None:
    insert = dialect_insert(session, SignInFailureRow)
    statement = insert.values(key=limit.key, minute=minute, failures=1).on_conflict_do_update(
        index_elements=["key", "minute"], set_={"failures": SignInFailureRow.failures + 1}
    )
    present: int = session.execute(statement.returning(SignInFailureRow.failures)).scalar_one()
    before = select(SignInFailureRow.failures).where(
        SignInFailureRow.key == limit.key, SignInFailureRow.minute == minute - 1
    )
    elapsed = now.timestamp() % MINUTE
    # The part of the minute before that lies within the last sixty seconds, as if its failures were spread evenly.
    total = present + math.ceil((session.scalar(before) or 0) * (1 - elapsed / MINUTE))
    if total > limit.amount:
        seconds = math.ceil(MINUTE - elapsed) + math.ceil(MINUTE / limit.amount)
        kind, _, name = limit.key.partition(":")
        whose = name if kind == "network" else f"the account {name!r}"
        detail = f"Too many failures from {whose}; try again in {seconds} seconds."
        raise Problem(429, "TOO_MANY_FAILURES", detail, headers={"Retry-After": str(seconds)})


def _take_back(session: Session, key: str, minute: int) -> None:
    row = SignInFailureRow.key == key, SignInFailureRow.minute == minute
    session.execute(update(SignInFailureRow).where(*row).values(failures=SignInFailureRow.failures - 1))


def _record(
    session: Session, counts: Mapping[str, int], limited: Sequence[str], minutes: tuple[int, int], now: datetime
) -> None:
    accounts = _largest(counts, ACCOUNT)
    for name, number in _largest(counts, CODE).items():
        accounts[name] = accounts.get(name, 0) + number
    # Somebody may have typed a password for a username, so a name is written only if it is one.
    known = set(session.scalars(select(PersonRow.username).where(PersonRow.username.in_(accounts))))
    named = {name: number for name, number in accounts.items() if name in known}
    failures = sum(number for key, number in counts.items() if key.startswith(NETWORK))
    after = {
        "failures": failures,
        "since": datetime.fromtimestamp(minutes[0] * MINUTE, UTC).isoformat(),
        "until": datetime.fromtimestamp(minutes[1] * MINUTE, UTC).isoformat(),
        "accounts": named,
        "of_no_account": failures - sum(named.values()),
        "addresses": _largest(counts, NETWORK),
        "locked_out": [each for each in limited if _is_known(each, known)][:NAMED_MAX],
    }
    subject = f"person:{next(iter(named))}" if len(named) == 1 else SUBJECT
    context = ChangeContext(now, ANONYMOUS)
    audit.record(session, context, action="person.sign_in_failed", subject=subject, after=after)


def _is_known(key: str, accounts: Set[str]) -> bool:
    return key.startswith(NETWORK) or key.partition(":")[2] in accounts


def _largest(counts: Mapping[str, int], prefix: str) -> dict[str, int]:
    found = [(key.removeprefix(prefix), number) for key, number in counts.items() if key.startswith(prefix)]
    return dict(sorted(found, key=lambda each: -each[1])[:NAMED_MAX])
