"""Evaluation for clients without an engine of their own: browsers and OpenFeature providers.

Flags under a rollout are evaluated by us, with reasons; flags in Unleash's own words as functions, or by its engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from flags.client_features.answer_tags import AnswerTags
from flags.client_features.feature_set import FeatureSet
from flags.evaluation.contexts import Context
from flags.evaluation.evaluator import EvaluationContext, Reason, evaluate
from flags.evaluation.fast_evaluator import FastEvaluator, fast_evaluator
from flags.evaluation.rollout_flag import RolloutFlag
from flags.unleash.compiled_rules import Strategy
from flags.unleash.compiler import Wire
from flags.unleash.feature_payload import encode
from flags.unleash.imported_flag import EngineContext, ImportedFlag, imported_flags

NO_VARIANT = {"name": "disabled", "enabled": False}
REASON_TEXT = {
    Reason.STATIC: "The flag is on for everybody in this environment.",
    Reason.DISABLED: "The flag is switched off in this environment.",
    Reason.TARGETING_MATCH: "A strategy of the flag let this user in.",
    Reason.SPLIT: "A strategy of the flag let a share of the users in, this one among them.",
    Reason.DEFAULT: "No strategy of the flag let this user in.",
}


@dataclass(frozen=True, slots=True)
class FlagResult:
    """One flag's answer and how it came about; `variant` is the engine's, None for a flag without variants."""

    key: str
    value: bool
    reason: Reason
    sentence: str
    phase: str | None = None
    variant: Mapping[str, object] | None = None


class Toggles(NamedTuple):
    """A body of the frontend API; `can_differ` where an engine was asked, which may draw at random."""

    body: bytes
    can_differ: bool


class FlagResults:
    """The answers of one feature set, everything prepared that no caller changes."""

    def __init__(self, feature_set: FeatureSet, now: datetime) -> None:
        self._feature_set = feature_set
        features = feature_set.contents.features
        self._imported_flags = imported_flags(
            feature_set.contents, [name for name in features if name not in feature_set.rollout_flags]
        )
        self._evaluators = {name: fast_evaluator(flag, now) for name, flag in feature_set.rollout_flags.items()}
        self.tags = AnswerTags(
            (item.wire for item in features.values()), (item.wire for item in feature_set.contents.segments.values())
        )
        self._needs_context_json = any(each.shares for each in self._evaluators.values())
        self._toggles: list[tuple[bytes, FastEvaluator | ImportedFlag, Strategy | None]] = [
            (encode(_toggle(item.wire, NO_VARIANT)), *self._evaluator(name))
            for name, item in features.items()
            if name in self._evaluators or self._imported_flags[name].constant is not False
        ]

    def needs_user(self, answer: FlagResult) -> bool:
        """Return whether this answer for nobody in particular is one for lack of a user."""
        evaluator = self._evaluators.get(answer.key)
        if evaluator is not None:
            return evaluator.constant is None and not evaluator.otherwise
        flag = self._imported_flags[answer.key]
        return not answer.value and flag.constant is None and flag.depends_on_user

    def one(self, key: str, context: Context, now: datetime) -> FlagResult | None:
        """Return the answer of the flag `key`, None where there is no such flag."""
        rollout_flag = self._feature_set.rollout_flags.get(key)
        if rollout_flag is not None:
            return _evaluated(rollout_flag, context, now)
        imported = self._imported_flags.get(key)
        return _result(key, imported, self._context(context, now)) if imported else None

    def all(self, context: Context, now: datetime) -> Iterator[FlagResult]:
        """Yield the answer of every flag, by name."""
        engine_context = self._context(context, now)
        for key in self._feature_set.contents.features:
            rollout_flag = self._feature_set.rollout_flags.get(key)
            yield (
                _evaluated(rollout_flag, context, now)
                if rollout_flag
                else _result(key, self._imported_flags[key], engine_context)
            )

    def toggles(self, context: Context, now: datetime) -> Toggles:
        """Return the flags that are on for this user, as the frontend API tells them."""
        user_id, signed_up_at = context.user_id, context.signed_up_at
        engine_context = self._context(context, now)
        context_json = engine_context.json if self._needs_context_json else b""
        on, fields = [], engine_context.fields
        for toggle, evaluator, rules in self._toggles:
            # Spelled out: hundreds of flags are asked, and a call less for each is a third of the time.
            if rules is not None and (answer := rules(fields)) is not None:
                if answer:
                    on.append(toggle)
            elif isinstance(evaluator, FastEvaluator):
                if evaluator.evaluate(user_id, signed_up_at, context_json):
                    on.append(toggle)
            elif evaluator.is_on(engine_context):
                on.append(self._with_variant(evaluator, engine_context) if evaluator.has_variants else toggle)
        return Toggles(b'{"toggles":[' + b",".join(on) + b"]}", can_differ=engine_context.engine_asked)

    def _evaluator(self, name: str) -> tuple[FastEvaluator | ImportedFlag, Strategy | None]:
        evaluator = self._evaluators.get(name)
        if evaluator is not None:
            return evaluator, None
        flag = self._imported_flags[name]
        return flag, flag.rules.is_on if flag.rules and flag.constant is None and not flag.has_variants else None

    def _with_variant(self, evaluator: ImportedFlag, engine_context: EngineContext) -> bytes:
        wire = self._feature_set.contents.features[evaluator.name.decode()].wire
        return encode(_toggle(wire, evaluator.variant(engine_context) or NO_VARIANT))

    def _context(self, context: Context, now: datetime) -> EngineContext:
        return EngineContext(context.to_json(self._feature_set.environment, now))


def _evaluated(flag: RolloutFlag, context: Context, now: datetime) -> FlagResult:
    evaluation = evaluate(flag, EvaluationContext(context.user_id, context.signed_up_at, context.properties), now)
    return FlagResult(flag.key, evaluation.value, evaluation.reason, evaluation.sentence, evaluation.phase)


def _result(key: str, flag: ImportedFlag, engine_context: EngineContext) -> FlagResult:
    value = flag.is_on(engine_context)
    reason = flag.reason(value=value)
    return FlagResult(key, value, reason, REASON_TEXT[reason], variant=flag.variant(engine_context))


def _toggle(wire: Wire, variant: Mapping[str, object]) -> Wire:
    payload = {"payload": variant["payload"]} if variant.get("payload") else {}
    chosen = {"name": variant["name"], "enabled": variant["enabled"], **payload}
    return {
        "name": wire["name"],
        "enabled": True,
        "impressionData": bool(wire.get("impressionData")),
        "variant": {**chosen, "feature_enabled": True, "featureEnabled": True},
    }
