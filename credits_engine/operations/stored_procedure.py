"""One operation answered by PostgreSQL itself in one round trip: what `consume` does, in its order, under its locks.

`tests/credits_engine/operations/test_procedure_agreement.py` holds the two together, and
docs/adr/credits-in-one-statement.md says why there are two.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

import psycopg
from flask import Flask
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db, transaction
from control_plane.platform.db.group_commit import GroupCommit
from control_plane.platform.extensions import AppState
from control_plane.platform.problems import is_transient
from control_plane.platform.settings import current
from credits_engine.engines import receipts
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.comparison import Comparison, Variance
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.periods import Period, calendar_month
from credits_engine.engines.plans import CATALOGUE, UnknownPlanError
from credits_engine.engines.receipts import EngineResult, EntryType, Receipt
from credits_engine.operations.consumption import (
    EnginePolicy,
    KeyConflictError,
    LostRaceError,
    Operation,
    UnknownUserError,
)
from credits_engine.operations.guard_signals import cohorts_of
from credits_engine.operations.routing import UNPLANNED, note_failed_route, note_route
from credits_engine.store import accounts, plan_versions, stored_procedures
from credits_engine.store.stored_procedures import JournalResult, ProcedureParams, ShortResult
from flags.evaluation.bucketing import bucket

CALLS = AppState[GroupCommit[ProcedureParams, ShortResult | JournalResult] | None]("credit_calls")
"""How the database's function is asked; None where it has none."""
PYTHON_ONLY = frozenset({"CRDUE", "CRAUD", "CRROL"})
"""The account has to be synced first; the rollout is open to customers by attributes, which SQL does not evaluate; what
the last period left may roll over, or has."""
UNKNOWN_PLAN = "CRPLN"
REFUSALS: Mapping[str, type[Exception]] = {
    "CRUSR": UnknownUserError,
    UNKNOWN_PLAN: UnknownPlanError,
    "CRKEY": KeyConflictError,
    "CRRCE": LostRaceError,
}
MATCH, UNASKED = Comparison(Variance.MATCH), Comparison(Variance.RETIRED)


def call(operation: Operation, *, now: datetime, policy: EnginePolicy) -> Receipt | None:
    """Answer and commit in the database; None where only `consume` can: on SQLite, or in a state of `PYTHON_ONLY`.

    Raises what `consume` raises.
    """
    # What members may spend is asked of Python alone.
    calls = CALLS.get()
    if calls is None or operation.type is not EntryType.CONSUME or operation.member:
        return None
    try:
        found = calls.run(_params(operation, now, policy))
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error) or error.orig.sqlstate not in (*PYTHON_ONLY, *REFUSALS):
            if not is_transient(error):
                note_failed_route(operation.user_id, now)
            raise
        # What the function did is undone with its error, so `consume` begins from the same state.
        if error.orig.sqlstate in PYTHON_ONLY:
            return None
        # Ends: seats that the function knows by now are written a second time by nobody.
        if error.orig.sqlstate == UNKNOWN_PLAN and _write_seats(operation.user_id):
            return call(operation, now=now, policy=policy)
        raise REFUSALS[error.orig.sqlstate](error.orig.diag.message_primary) from error
    receipt = receipt_of(found, operation, now)
    # Counted after the commit, unlike in Python: what the function was given is known only from its answer.
    if not receipt.replayed and receipt.evaluation_reason != UNPLANNED.reason:
        note_route(receipt.served.engine, receipt.user_id, cohorts_of(receipt))
    return receipt


def try_as_legacys(session: Session, operation: Operation, *, now: datetime, policy: EnginePolicy) -> bool:
    """Answer as `call` does, in the caller's transaction and with legacy serving; False where only `consume` can.

    Raises DBAPIError.
    """
    if CALLS.get() is None or operation.member:
        return False
    params = _params(operation, now, policy)._replace(environment_switch=False)
    try:
        with session.begin_nested():
            stored_procedures.try_call(session, params)
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in PYTHON_ONLY:
            return False
        raise
    return True


def _write_seats(user_id: str) -> bool:
    """Let the function know a plan of that many seats, where somebody was given one by hand; False if it does."""
    with transaction() as session, suppress(UnknownPlanError):
        if found := accounts.find(session, user_id):
            plan = CATALOGUE.plan(found[0].plan)
            return plan_versions.write_seats(session, plan, CATALOGUE, KINDS)
    return False


def _params(operation: Operation, now: datetime, policy: EnginePolicy) -> ProcedureParams:
    settings, amounts = current(), operation.amounts
    return ProcedureParams(
        user_id=operation.user_id,
        key=operation.key,
        amounts=amounts,
        actor=operation.actor,
        now=now,
        environment=settings.environment,
        environment_switch=settings.environment_switch,
        bucket=bucket(FLAG, operation.user_id),
        lets_pass=policy.fails_open_for(amounts),
    )


def receipt_of(found: ShortResult | JournalResult, operation: Operation, now: datetime) -> Receipt:
    """Return the receipt of what the function answered to `operation` at `now`."""
    if isinstance(found, JournalResult):
        receipt = receipts.from_columns(found.row)
        return receipts.replayed(receipt) if found.replayed else receipt
    v2, legacy = _v2_side(found, operation.amounts), _legacy_side(found, operation.amounts, calendar_month(now))
    served, shadow = (v2, legacy) if found.by_v2 else (legacy, v2)
    return Receipt(
        journal_id=found.journal_id,
        type=operation.type,
        occurred_at=now,
        user_id=operation.user_id,
        operation_key=operation.key,
        requested=operation.amounts,
        charged=operation.amounts,
        outcome=Outcome.ALLOWED,
        reason=served.reason,
        served=served,
        shadow=shadow,
        comparison=MATCH if found.legacy_outcome else UNASKED,
        flag_revision=found.flag_revision,
        evaluation_reason=found.evaluation_reason,
        actor=operation.actor,
    )


def _v2_side(found: ShortResult, amounts: Amounts) -> EngineResult:
    return EngineResult(
        engine=EngineName.V2,
        outcome=Outcome.ALLOWED,
        charged=amounts,
        used=found.v2_used,
        limits=found.v2_limits,
        period=Period(datetime.fromisoformat(found.v2_start), datetime.fromisoformat(found.v2_end)),
        posted=amounts,
        duration_us=found.v2_us,
        reason=found.v2_reason,
    )


def _legacy_side(found: ShortResult, amounts: Amounts, month: Period) -> EngineResult:
    return EngineResult(
        engine=EngineName.LEGACY,
        outcome=Outcome.ALLOWED if found.legacy_outcome else None,
        charged=amounts if found.legacy_outcome else NOTHING,
        used=found.legacy_used,
        limits=found.legacy_limits,
        period=month,
        posted=amounts,
        duration_us=found.legacy_us,
        reason=found.legacy_reason,
    )


def init_app(app: Flask) -> None:
    """Let operations that wait at the same moment share a transaction, where the database has the functions."""
    has_functions = db.engine.dialect.name == "postgresql"
    CALLS.set(app, GroupCommit(stored_procedures.call, stored_procedures.call_many) if has_functions else None)
