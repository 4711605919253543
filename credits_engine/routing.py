"""Which engine serves a user: the flag, evaluated inside the transaction that charges them."""

from datetime import datetime

from sqlalchemy.orm import Session

from control_plane.phases import FLAG
from credits_engine.consumption import Evaluate, FlagEvaluation
from credits_engine.store.accounts import Account
from flags import snapshot
from flags.phased import EvaluationContext


def evaluate_flag(session: Session, now: datetime) -> Evaluate:
    """An evaluation of the flag as `session` sees it: no operation is routed by a rollout that was rolled back."""

    def evaluate(account: Account) -> FlagEvaluation:
        context = EvaluationContext(account.user_id, account.signed_up_at, account.plan)
        revision, answer = snapshot.evaluate_now(session, FLAG, context, now=now)
        return FlagEvaluation(answer.value, f"{answer.reason}: {answer.detail}", revision)

    return evaluate
