"""Why a user has a flag or not, in sentences: the trace that evaluation itself produced, and what comes next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import KINDS
from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import Phase, Rollout, exposure_at, position_after
from control_plane.rollout_names import environment_of
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.client_features.feature_set import build
from flags.client_features.refresher import read_source
from flags.evaluation.contexts import ATTRIBUTES, Context, KnownAttributes, enrich_context, from_nested
from flags.evaluation.evaluator import evaluate
from flags.evaluation.rollout_flag import EvaluationContext, RolloutFlag
from flags.evaluation.step_preview import Change, entry_audience, entry_percentage, preview_step
from flags.evaluation.trace import TraceStep, describe
from flags.snapshot import Snapshots, UnknownFlagError
from flags.store import UserAttributes
from flags.unleash.explainer import FlagExplainer

NO_ROLLOUT = "this flag has no rollout; it changes when somebody switches it or imports it again."


Explainer = Callable[..., dict[str, object]]
"""`explainer("user", {"plan": "pro"})` is why the flag is as it is for that user, of whom the caller knows this."""


@dataclass(frozen=True, slots=True)
class NextStep:
    """What the step after this one does for a user. `phase` is None where none follows; `variant` where it stays."""

    is_latched: bool
    phase: Phase | None = None
    percentage: int = 0
    variant: str | None = None


def next_sentence(step: NextStep) -> str:
    """Say what the next step changes."""
    if step.phase is None:
        return "nothing until it is re-armed." if step.is_latched else "this is the last step."
    name = f"{step.phase.title}, {step.percentage} %"
    if step.variant is None:
        return f"{name} changes nothing for this user."
    return f"{name} switches it {step.variant} for this user."


class Sentences(NamedTuple):
    """How a flag under a rollout is explained; pages have them in other languages."""

    of_step: Callable[[TraceStep], str] = describe
    of_next: Callable[[NextStep], str] = next_sentence


ENGLISH = Sentences()


def explainer(
    session: Session,
    snapshots: Snapshots,
    key: str,
    *,
    environment: str,
    now: datetime,
    sentences: Sentences = ENGLISH,
) -> Explainer:
    """Return a function that explains the flag in an environment for any number of users. Raises UnknownFlagError.

    `attributes` outweigh what our directory knows of a user.
    """
    flag = snapshots.current(session, environment).flags.get(key)
    if flag is not None:
        rollout = rollout_store.deciding(session, key, environment) or rollouts.find(session, key)
        return partial(_of_rollout, session, (flag, rollout), now, sentences=sentences)
    return partial(_of_import, session, _flag_explainer(session, snapshots, key, environment, now), now)


def _of_rollout(
    session: Session,
    decided: tuple[RolloutFlag, Rollout],
    now: datetime,
    user_id: str,
    attributes: Mapping[str, str],
    *,
    sentences: Sentences,
) -> dict[str, object]:
    flag, rollout = decided
    known = store.user(session, user_id)
    said = _context(user_id, attributes, known)
    context = EvaluationContext(user_id, said.signed_up_at, said.properties)
    answer = evaluate(flag, context, now)
    return {
        "flag": flag.key,
        "environment": flag.environment,
        "rollout": rollout.flag,
        "userId": user_id,
        "known": known is not None,
        "value": answer.value,
        "variant": answer.variant,
        "reason": answer.reason.value,
        "detail": sentences.of_step(answer.trace[-1]),
        "phase": answer.phase,
        "bucket": answer.bucket,
        "entersAt": {"audience": entry_audience(flag, context), "percentage": entry_percentage(flag, context)},
        "trace": [
            {"rule": step.rule.value, "outcome": step.outcome.value, "sentence": sentences.of_step(step)}
            for step in answer.trace
        ],
        "next": _next(rollout, flag, context, now, sentences),
    }


def _of_import(
    session: Session, flag_explainer: FlagExplainer, now: datetime, user_id: str, attributes: Mapping[str, str]
) -> dict[str, object]:
    """Explain a flag without a rollout: the parts of its definition take the place of the rules."""
    known = store.user(session, user_id)
    context = _context(user_id, attributes, known)
    found = flag_explainer.explain(context, context.to_json(flag_explainer.environment, now))
    audience, percentage = (f"strategy {found.entry[0]}", found.entry[1]) if found.entry else (None, None)
    return {
        "flag": flag_explainer.name,
        "environment": flag_explainer.environment,
        "rollout": None,
        "userId": user_id,
        "known": known is not None,
        "value": found.value,
        "variant": found.variant,
        "reason": found.reason.value,
        "detail": found.steps[-1].sentence,
        "phase": None,
        "bucket": found.bucket,
        "entersAt": {"audience": audience, "percentage": percentage},
        "trace": [
            {"rule": step.rule.value, "outcome": step.outcome.value, "sentence": step.sentence} for step in found.steps
        ],
        "next": {"changes": False, "sentence": NO_ROLLOUT},
    }


def _flag_explainer(session: Session, snapshots: Snapshots, key: str, environment: str, now: datetime) -> FlagExplainer:
    source = read_source(snapshots, session, environment)
    _, expires_at = store.routing_state(session)
    guarded = environment == PRODUCTION and (expires_at is None or now >= expires_at)
    contents = build(source, now, guard_ended_at=now if guarded else None).contents
    if key not in contents.features:
        raise UnknownFlagError(key)
    return FlagExplainer(contents, key, environment)


def _context(user_id: str, attributes: Mapping[str, str], known: UserAttributes | None) -> Context:
    said = from_nested({"properties": attributes, "userId": user_id})
    ours = KnownAttributes(known.plan, known.signed_up_at, known.beta) if known else None
    return enrich_context(said, ours, ATTRIBUTES)


def to_text(explanation: Mapping[str, Any]) -> str:
    """Return the explanation for a terminal."""
    lines = [
        f"{explanation['flag']} is {explanation['variant']} for {explanation['userId']} ({explanation['reason']}).",
        *(f"{number:3}. {step['sentence']}" for number, step in enumerate(explanation["trace"], start=1)),
        *([f"     {decider}"] if (decider := decider_sentence(explanation["rollout"])) else []),
        f"     Enters {entry(**explanation['entersAt'])}.",
        f"     Next: {explanation['next']['sentence']}",
    ]
    return "\n".join(lines)


def decider_sentence(rollout: str | None) -> str:
    """Say which rollout decides where it is not the flag's own."""
    environment = environment_of(rollout or "")
    return f"The rollout of {environment} decides here, not that of all environments." if environment else ""


def entry(audience: str | None, percentage: int | None) -> str:
    """Say with whom a user enters, in words."""
    if audience is None:
        return "at no percentage"
    if audience in KINDS:
        return KINDS[audience].entry(percentage)
    return f"at {percentage} % of {audience}"


def _next(
    rollout: Rollout, flag: RolloutFlag, context: EvaluationContext, now: datetime, sentences: Sentences
) -> dict[str, object]:
    position = position_after(rollout.plan, rollout.position)
    if rollout.latched or position is None:
        return {"changes": False, "sentence": sentences.of_next(NextStep(is_latched=rollout.latched))}
    preview = preview_step(flag, exposure_at(rollout.plan, position, flag.environment), context, now=now)
    phase = rollout.plan.phases[position.phase]
    variant = None if preview.change is Change.SAME else preview.after.variant
    step = NextStep(is_latched=False, phase=phase, percentage=phase.steps[position.step], variant=variant)
    return {"changes": variant is not None, "sentence": sentences.of_next(step)}
