"""One flag in production and the people who ask for it, with everything a test may want different."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import PRODUCTION, Exposure
from flags.evaluation.bucketing import bucket
from flags.evaluation.evaluator import EvaluationContext, Override, RolloutFlag, evaluate

FLAG = "ENABLE_CREDITS_V2"
NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
CUTOVER = datetime(2026, 7, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

NAMED = Override("asked for by support")
EXPIRED = Override("a trial week", NOW)
PHASES = {audience: f"the {audience} phase" for audience in AudienceKind}

EVERYTHING = Exposure(environment=True, allowlist=True, new_signups_percentage=100, everyone_percentage=100)


def flag(**changes: Any) -> RolloutFlag:
    """Return the flag as it stands before its first phase in production."""
    standing: dict[str, Any] = {
        "key": FLAG,
        "environment": PRODUCTION,
        "revision": 7,
        "exposure": Exposure(),
        "new_signups_after": CUTOVER,
        "phase_names": PHASES,
    }
    return RolloutFlag(**(standing | changes))


def user_in_bucket(number: int) -> str:
    """Return some user whose bucket is `number`."""
    return next(name for name in map("user-{}".format, range(10_000)) if bucket(FLAG, name) == number)


ALICE = EvaluationContext("alice", CUTOVER - SECOND)
ANONYMOUS = EvaluationContext()


def users_losing_flag(
    before: RolloutFlag, after: RolloutFlag, contexts: Iterable[EvaluationContext], *, now: datetime
) -> Iterator[EvaluationContext]:
    """Yield those of `contexts` who have the flag as it is and would not have it as it becomes."""
    return (
        context
        for context in contexts
        if evaluate(before, context, now).value and not evaluate(after, context, now).value
    )
