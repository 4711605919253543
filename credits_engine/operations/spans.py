"""A credit operation in a trace: which arm of the flag served, and what both engines took for their answers."""

from contextlib import AbstractContextManager

from control_plane.experiments.credits import FLAG
from control_plane.platform.observability import tracing
from credits_engine.engines.receipts import EngineResult, Receipt

MICROSECONDS = 1e6


def transaction_span() -> AbstractContextManager[object]:
    """Return the block of the operation's transaction."""
    return tracing.span("credits transaction")


def describe(receipt: Receipt) -> None:
    """Tell of the evaluation and of both engines, from the times that are journalled anyway."""
    if receipt.replayed or not tracing.is_on():
        return  # where it is replayed, both answered another request
    # After the colon stands why in words, which may name the user.
    reason, _, _ = receipt.evaluation_reason.partition(":")
    tracing.evaluation(FLAG, receipt.served.engine.value, reason)
    for role, side in (("served", receipt.served), ("shadow", receipt.shadow)):
        _describe_engine(role, side, receipt)


def _describe_engine(role: str, side: EngineResult, receipt: Receipt) -> None:
    attributes: tracing.Attributes = {
        "feature_flag.key": FLAG,
        "feature_flag.result.variant": side.engine.value,
        "rollout.role": role,
        "rollout.outcome": side.outcome.value if side.outcome else "not asked",
        "rollout.variance": receipt.comparison.variance.value,
    }
    tracing.past_span(f"engine {side.engine}", seconds=side.duration_us / MICROSECONDS, attributes=attributes)
