"""Which engine serves a user: the flag, evaluated inside the transaction that charges them."""

from contextlib import suppress
from datetime import datetime

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from control_plane.cohort_names import Cohort, Cohorts
from control_plane.experiments.credits import CREDITS, FLAG
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import request_outcomes, signals
from control_plane.platform.observability.signals import Sample
from control_plane.platform.settings import current
from credits_engine.engines.decisions import EngineName
from credits_engine.operations.consumption import Evaluate, FlagEvaluation
from credits_engine.operations.load_test_accounts import is_load_test_account
from credits_engine.store import accounts
from credits_engine.store.accounts import Account
from flags import snapshot
from flags.evaluation.contexts import KnownAttributes, known_context
from flags.evaluation.rollout_flag import EvaluationContext
from flags.snapshot import RoutingState, UnknownFlagError

ROUTED = {
    is_on: Sample(CREDITS.signals.routed, bad=False, engine=engine.value)
    for is_on, engine in ((True, EngineName.V2), (False, EngineName.LEGACY))
}
MISSING = {
    engine: tuple(
        Sample(signal, bad=False, engine=engine.value)
        for signal in (CREDITS.signals.outcome_missing, CREDITS.signals.comparison_missing)
    )
    for engine in EngineName
}
UNPLANNED = FlagEvaluation(enabled=False, reason="DEFAULT: no rollout is planned", revision=0)


def evaluate_flag(session: Session, now: datetime) -> Evaluate:
    """Return the evaluation that routes an operation.

    The guard learns of it and waits for what becomes of the operation.
    """
    lookup = flag_lookup(session, now)

    def evaluate(account: Account) -> FlagEvaluation:
        found = lookup(account)
        if found is not UNPLANNED:
            note_route(found.engine, account.user_id, _cohorts(account))
        return found

    return evaluate


def note_route(engine: EngineName, user_id: str, cohorts: Cohorts) -> None:
    """Tell the guard which engine serves whom, before anything else can go wrong.

    It holds what v2 was given against what was counted afterwards, and a request that fails around the engine is a
    failure of the engine that served it. A load test proves nothing about the release.
    """
    if is_load_test_account(user_id):
        return
    signals.record(ROUTED[engine is EngineName.V2])
    request_outcomes.set_arm(
        FLAG, engine.value, failure=_serving_failure(engine, user_id, cohorts), missing=MISSING[engine]
    )


def note_reservation(engine: EngineName, user_id: str) -> None:
    """Tell the guard whose reservation a request finalizes: one that can't be failed where that engine serves."""
    # Known already where it is finalized once more as legacy's: what failed is v2's all the same.
    if request_outcomes.failing_arm(FLAG) is None and not is_load_test_account(user_id):
        request_outcomes.set_arm(FLAG, engine.value, failure=_serving_failure(engine, user_id, ()))


def _serving_failure(engine: EngineName, user_id: str, cohorts: Cohorts) -> Sample:
    name = CREDITS.signals.serving_failure
    return Sample(name, bad=True, engine=engine.value, account=user_id, cohorts=cohorts)


def note_failed_route(user_id: str, now: datetime) -> None:
    """Tell the guard which engine the failed operation of this user was given to, where the database decides that."""
    with suppress(DBAPIError, LookupError), read_only() as session:
        found = accounts.find(session, user_id)
        evaluation = flag_lookup(session, now)(found[0]) if found else UNPLANNED
        if found and evaluation is not UNPLANNED:
            note_route(evaluation.engine, user_id, _cohorts(found[0]))


def _cohorts(account: Account) -> Cohorts:
    """Return what is known of the traffic before an engine is asked; how near a limit is, is not."""
    return (Cohort("plan", account.plan),)


def flag_lookup(session: Session, now: datetime, state: RoutingState | None = None) -> Evaluate:
    """Return a function that evaluates the flag for a user without counting it.

    `state` is given by whoever has read it already. No operation is routed by a rollout that was rolled back. Before a
    rollout is planned, legacy serves everybody.
    """

    def evaluate(account: Account) -> FlagEvaluation:
        context = customer(account)
        try:
            revision, answer = snapshot.evaluate_now(session, FLAG, context, now=now, state=state or account.routing)
        except UnknownFlagError:
            return UNPLANNED
        return FlagEvaluation(answer.value, f"{answer.reason}: {answer.detail}", revision)

    return evaluate


def customer(account: Account) -> EvaluationContext:
    """Return the context in which an account's flag is evaluated: its attributes in the directory."""
    return known_context(account.user_id, KnownAttributes(account.plan, account.signed_up_at, account.beta))


def is_v2_on(session: Session, now: datetime) -> bool:
    """Return whether v2 may serve anybody here at all."""
    try:
        flag = snapshot.SNAPSHOTS.get().current(session, current().environment).find(FLAG)
    except UnknownFlagError:
        return False
    if flag.switch_in_force is not None:
        return bool(flag.switch_in_force)
    watched = flag.guard_expires_at is None or now < flag.guard_expires_at
    return watched and flag.latched is None and not flag.exposure.empty
