"""One operation from the edge: its transaction, repeated when another request took the same key, and its signals."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.experiments.credits import FLAG
from control_plane.platform.db import deadlocks
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.db.keyed_semaphore import KeyedSemaphore
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import request_outcomes, signals
from control_plane.platform.setting_values import SettingsError
from control_plane.platform.settings import SETTINGS
from credits_engine.engines.amounts import KINDS, Kind
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations import spans, stored_procedure
from credits_engine.operations.consumption import EnginePolicy, LostRaceError, Operation, consume
from credits_engine.operations.control_checks import LEGACY_SERVES, check_control, check_key
from credits_engine.operations.guard_signals import exempt_signals, outcome_signals, retry_signal
from credits_engine.operations.load_test_accounts import is_load_test_account
from credits_engine.operations.members import MEMBERS, account_of, membership_of, reservation_place
from credits_engine.operations.reservations import reserve
from credits_engine.operations.routing import evaluate_flag
from credits_engine.store import reservations

T = TypeVar("T")

ATTEMPTS = 3
AT_ONCE = 4
"""Operations of one account under way in one process; more would only wait for its books, each with a connection."""
ACCOUNT_WAIT_SECONDS = 5.0
"""As long as for a lock of the database."""
CHECK_TTL = timedelta(minutes=1)
ACCOUNT_SEMAPHORE = AppState[KeyedSemaphore]("account_semaphore")
ENGINE_POLICY = AppState[EnginePolicy]("engine_policy")


def run_operation(operation: Operation, *, now: datetime) -> Receipt:
    """Answer `operation` in a transaction of its own and tell the guard once that is committed.

    Raises what `consume` raises; LostRaceError only if every attempt met somebody else's; KeyBusyError where too many
    operations of the account are under way.
    """
    policy = ENGINE_POLICY.get()
    operation = _placed(operation, now)

    def decide() -> Receipt:
        if receipt := stored_procedure.call(operation, now=now, policy=policy):
            return receipt
        with transaction() as session:
            return consume(session, operation, now=now, evaluate=evaluate_flag(session, now), policy=policy)

    return _run(operation, decide, now)


def run_reservation(operation: Operation, *, ttl: timedelta, now: datetime) -> Receipt:
    """Run an operation that is held until it is committed or released."""
    operation = _placed(operation, now)

    def decide() -> Receipt:
        with transaction() as session:
            return reserve(
                session, operation, now=now, evaluate=evaluate_flag(session, now), ttl=ttl, policy=ENGINE_POLICY.get()
            )

    return _run(operation, decide, now)


def run_finalization(user_id: str, key: str, finalize: Callable[[Session], T], *, now: datetime) -> T:
    """Run what ends a reservation in a transaction of its own. Raises KeyBusyError and what `finalize` raises."""
    account = account_of(user_id, now)
    request_outcomes.set_account(account)
    try:
        with ACCOUNT_SEMAPHORE.get().hold(account):
            return deadlocks.in_transaction(finalize)
    except Exception as error:
        check_control(account, error, partial(_finalize_as_legacys, user_id, key, finalize), now)
        raise


def init_app(app: Flask) -> None:
    """Set the policy of this process. Raises SettingsError for a kind that there is not."""
    kinds = SETTINGS.get(app).credits_fail_open_kinds
    if unknown := set(kinds) - set(KINDS):
        raise SettingsError(f"CREDITS_FAIL_OPEN_KINDS names {', '.join(sorted(unknown))}; write {' or '.join(KINDS)}.")
    stored_procedure.init_app(app)
    ENGINE_POLICY.set(app, EnginePolicy(allowed_on_error=frozenset(map(Kind, kinds))))
    # Whoever waits has a thread, so half of them stay for everybody else.
    most_waiting = SETTINGS.get(app).threads // 2
    ACCOUNT_SEMAPHORE.set(
        app, KeyedSemaphore(AT_ONCE, most_waiting=most_waiting, max_wait_seconds=ACCOUNT_WAIT_SECONDS)
    )


def _placed(operation: Operation, now: datetime) -> Operation:
    """Return the operation as its account's, to whom its failures count. Who was never a member costs no look."""
    if operation.user_id not in MEMBERS.get():
        return operation
    with read_only() as session:
        placed = operation.taken_from(membership_of(session, operation.user_id, operation.key, now))
    request_outcomes.set_account(placed.user_id)
    return placed


def _run(operation: Operation, decide: Callable[[], Receipt], now: datetime) -> Receipt:
    try:
        receipt = _decided(operation.user_id, decide)
    except Exception as error:
        check_control(operation.user_id, error, partial(_as_legacys, operation=operation, now=now), now)
        raise
    if is_load_test_account(receipt.user_id):
        return receipt
    served, *others = outcome_signals(receipt) or (None,)
    request_outcomes.count_served(FLAG, served)
    signals.record(*others, *exempt_signals(receipt), retry_signal(receipt))
    return receipt


def _decided(account: str, decide: Callable[[], Receipt]) -> Receipt:
    for _ in range(ATTEMPTS - 1):
        with suppress(LostRaceError):
            return _decided_once(account, decide)
    return _decided_once(account, decide)


def _decided_once(account: str, decide: Callable[[], Receipt]) -> Receipt:
    with ACCOUNT_SEMAPHORE.get().hold(account), spans.transaction_span():
        receipt = deadlocks.retry(decide)
        spans.describe(receipt)
        return receipt


def _as_legacys(session: Session, operation: Operation, *, now: datetime) -> object:
    """Do an operation as legacy's, the way it would be done."""
    policy, operation = ENGINE_POLICY.get(), replace(operation, key=check_key())
    if operation.type is EntryType.RESERVE:
        return reserve(session, operation, now=now, evaluate=lambda _: LEGACY_SERVES, ttl=CHECK_TTL, policy=policy)
    if stored_procedure.try_as_legacys(session, operation, now=now, policy=policy):
        return None
    return consume(session, operation, now=now, evaluate=lambda _: LEGACY_SERVES, policy=policy)


def _finalize_as_legacys(user_id: str, key: str, finalize: Callable[[Session], object], session: Session) -> object:
    """End a reservation as if legacy had granted it."""
    reservations.change_engine(session, *reservation_place(session, user_id, key), EngineName.LEGACY)
    return finalize(session)
