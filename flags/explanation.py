"""Why a user has a flag or not, in sentences: the trace that evaluation itself produced, and what comes next."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.phases import AudienceKind, exposure_at, following
from control_plane.platform.settings import Settings
from flags import store
from flags.evaluation import Evaluation, evaluate
from flags.phased import EvaluationContext, PhasedFlag
from flags.prospects import entry_audience, entry_percentage
from flags.snapshot import Snapshots
from flags.trace import describe


def explain(
    session: Session,
    snapshots: Snapshots,
    settings: Settings,
    key: str,
    user_id: str,
    *,
    now: datetime,
    environment: str | None = None,
) -> dict[str, Any]:
    """The answer for one user with its reason, numbered trace, bucket and what the next step would change."""
    flag = snapshots.current(session, environment or settings.environment).find(key)
    known = store.user(session, user_id)
    context = EvaluationContext(user_id, known.signed_up_at if known else None, known.plan if known else None)
    answer = evaluate(flag, context, now)
    return {
        "flag": key,
        "environment": flag.environment,
        "userId": user_id,
        "known": known is not None,
        "value": answer.value,
        "variant": answer.variant,
        "reason": answer.reason.value,
        "detail": describe(answer.trace[-1]),
        "phase": answer.phase,
        "bucket": answer.bucket,
        "entersAt": {"audience": entry_audience(flag, context), "percentage": entry_percentage(flag, context)},
        "trace": [
            {"rule": step.rule.value, "outcome": step.outcome.value, "sentence": describe(step)}
            for step in answer.trace
        ],
        "next": _next(session, flag, context, answer, now),
    }


def words(explanation: Mapping[str, Any]) -> str:
    """The explanation for a terminal."""
    lines = [
        f"{explanation['flag']} is {explanation['variant']} for {explanation['userId']} ({explanation['reason']}).",
        *(f"{number:3}. {step['sentence']}" for number, step in enumerate(explanation["trace"], start=1)),
        f"     Enters {_entry(**explanation['entersAt'])}.",
        f"     Next: {explanation['next']['sentence']}",
    ]
    return "\n".join(lines)


def _entry(audience: AudienceKind, percentage: int) -> str:
    match audience:
        case AudienceKind.ENVIRONMENTS:
            return "with this environment"
        case AudienceKind.ALLOWLIST:
            return "with the beta allowlist"
        case AudienceKind.NEW_SIGNUPS | AudienceKind.EVERYONE:
            return f"at {percentage} % of {audience.replace('_', ' ')}"


def _next(
    session: Session, flag: PhasedFlag, context: EvaluationContext, answer: Evaluation, now: datetime
) -> dict[str, Any]:
    rollout = rollouts.find(session, flag.key)
    position = following(rollout.plan, rollout.position)
    if rollout.latched or position is None:
        sentence = "nothing until it is re-armed." if rollout.latched else "this is the last step."
        return {"changes": False, "sentence": sentence}
    opened = exposure_at(rollout.plan, position, flag.environment)
    after = evaluate(replace(flag, exposure=opened), context, now)
    phase = rollout.plan.phases[position.phase]
    step = f"{phase.title}, {phase.steps[position.step]} %"
    if after.value == answer.value:
        return {"changes": False, "sentence": f"{step} changes nothing for this user."}
    return {"changes": True, "sentence": f"{step} switches it {after.variant} for this user."}
