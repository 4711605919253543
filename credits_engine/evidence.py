"""What one receipt tells the guard; record it after the commit."""

from control_plane.platform.signals import Observation as Signal
from credits_engine.comparison import Variance
from credits_engine.decisions import EngineName, Outcome
from credits_engine.receipts import Receipt, Side

FAILURE = "credit_consumption_failure"
VARIANCE = "credit_variance"
FAILED_ALONE = {EngineName.V2: "credit_failure_v2_only", EngineName.LEGACY: "credit_failure_legacy_only"}
COMPARED = (Variance.MATCH, Variance.POLICY, Variance.DEFECT)


def observations(receipt: Receipt) -> tuple[Signal, ...]:
    """Who failed in which role, whether the answers contradict each other, and who failed alone.

    An operation counts once: replays and retries add nothing. A refusal is not a failure.
    """
    if receipt.replayed or receipt.retry_of is not None:
        return ()
    account = receipt.user_id
    signals = [_failure(receipt.served, "served", account)]
    if receipt.shadow.outcome is not None:
        signals.append(_failure(receipt.shadow, "shadow", account))
        signals += _failed_alone(receipt)
    if receipt.comparison.variance in COMPARED:
        defect = receipt.comparison.variance is Variance.DEFECT
        signals.append(Signal(VARIANCE, defect, account=account))
    return tuple(signals)


def _failure(side: Side, role: str, account: str) -> Signal:
    return Signal(FAILURE, side.outcome is Outcome.ERROR, side.engine.value, role, account)


def _failed_alone(receipt: Receipt) -> list[Signal]:
    """The discordant pairs: an outage that both engines share says nothing about either."""
    failed = [side.engine for side in (receipt.served, receipt.shadow) if side.outcome is Outcome.ERROR]
    return [Signal(FAILED_ALONE[failed[0]], bad=True, account=receipt.user_id)] if len(failed) == 1 else []
