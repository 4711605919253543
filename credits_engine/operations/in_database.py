"""One operation answered by PostgreSQL itself in one round trip: what `consume` does, in its order, under its locks.

`tests/credits_engine/test_functions.py` holds the two together, docs/adr/credits-in-one-statement.md says why there are
two.
"""

from collections.abc import Mapping
from datetime import datetime

import psycopg
from flask import Flask, current_app
from sqlalchemy.exc import DBAPIError

from control_plane.phases import FLAG
from control_plane.platform import signals
from control_plane.platform.database import db
from control_plane.platform.settings import current
from credits_engine.engines import receipts
from credits_engine.engines.decisions import EngineName
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.operations.consumption import KeyConflictError, LostRaceError, Manners, Operation, UnknownUserError
from credits_engine.operations.routing import ROUTED, UNPLANNED
from credits_engine.store import functions
from flags.bucketing import bucket

IN_DATABASE = "credits_in_database"
BILLING_IS_DUE = "CRDUE"
REFUSALS: Mapping[str, type[Exception]] = {
    "CRUSR": UnknownUserError,
    "CRPLN": UnknownPlanError,
    "CRKEY": KeyConflictError,
    "CRRCE": LostRaceError,
}


def answer(operation: Operation, *, now: datetime, manners: Manners) -> Receipt | None:
    """The receipt, committed; None where only `consume` can answer: on SQLite, or while billing has to be settled.

    Raises what `consume` raises.
    """
    if not current_app.extensions[IN_DATABASE] or operation.type is not EntryType.CONSUME:
        return None
    settings = current()
    amounts = operation.amounts
    asked = (operation.user_id, operation.key, amounts.analysis, amounts.roast, operation.actor, now)
    around = (settings.environment, settings.credits_v2_override, bucket(FLAG, operation.user_id))
    try:
        row, is_replayed = functions.operate((*asked, *around, manners.lets_pass(amounts)))
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg.Error) or error.orig.sqlstate not in (BILLING_IS_DUE, *REFUSALS):
            raise
        if error.orig.sqlstate == BILLING_IS_DUE:
            return None
        raise REFUSALS[error.orig.sqlstate](error.orig.diag.message_primary) from error
    receipt = receipts.from_columns(row)
    if is_replayed:
        return receipts.replayed(receipt)
    if receipt.evaluation_reason != UNPLANNED.reason:
        signals.record(ROUTED[receipt.served.engine is EngineName.V2])
    return receipt


def init_app(app: Flask) -> None:
    """Note whether the database has the function."""
    app.extensions[IN_DATABASE] = db.engine.dialect.name == "postgresql"
