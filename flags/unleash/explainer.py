"""A flag in Unleash's own words taken apart: the official engine is asked about each part by itself.

The engine gives an answer and no reasons, so every strategy, constraint, segment and dependency becomes a small
flag of its own in a state beside the one that is served. What it says of those is the trace.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flags.evaluation.bucketing import bucket
from flags.evaluation.contexts import Context
from flags.evaluation.evaluator import Reason
from flags.evaluation.trace import RuleOutcome
from flags.evaluation.unleash_engine import Engine
from flags.unleash import probes
from flags.unleash.compiled_constraints import Fields
from flags.unleash.compiler import Wire
from flags.unleash.engine_differences import constraint_difference, share_difference, stickiness_difference
from flags.unleash.feature_payload import FeaturePayload, encode, join
from flags.unleash.imported_flag import EngineContext, ImportedFlag, imported_flags
from flags.unleash.probes import Probe, Question

STICKY_TO_USERS = ("userId", "default", "")
SHARES = {"flexibleRollout": ("rollout", "stickiness"), "gradualRolloutUserId": ("percentage", "")}


class Step(NamedTuple):
    """One part's answer; the step that decided is the last."""

    rule: Question
    outcome: RuleOutcome
    sentence: str


@dataclass(frozen=True, slots=True)
class FlagExplanation:
    """The evaluation of a flag for one user. `share` is the place in a gradual rollout and its strategy."""

    value: bool
    variant: str
    reason: Reason
    steps: tuple[Step, ...]
    bucket: int | None
    entry: tuple[int, int] | None
    """The strategy, counted from 1, and the percentage at which it lets this user in; None where no share decides."""


class FlagExplainer:
    """One flag, prepared to be asked for any number of users."""

    def __init__(self, contents: FeaturePayload, name: str, environment: str) -> None:
        self.name = name
        self.environment = environment
        self._wire = contents.features[name].wire
        self._segments = {number: each.wire["constraints"] for number, each in contents.segments.items()}
        self._flag: ImportedFlag = imported_flags(contents, [name])[name]
        self._parts = tuple(probes.probes_of(self._wire))
        self._engine = Engine(_state(contents, self._wire, self._parts))

    def explain(self, context: Context, document: Mapping[str, object]) -> FlagExplanation:
        """Return the answer for this user and how it came about; `document` is the context as engines read it."""
        engine_context = EngineContext(document)
        # The answer is the whole flag's; the parts only say why, and never decide it.
        value = self._flag.is_on(engine_context)
        variant = self._flag.variant(engine_context) or {}
        met = {part.name: self._engine.is_enabled(part.name.encode(), engine_context.json) for part in self._parts}
        entry = min(self._entries(context, met), default=None)
        return FlagExplanation(
            value=value,
            variant=variant["name"] if value and variant.get("enabled") else ("on" if value else "off"),
            reason=self._flag.reason(value=value),
            steps=tuple(self._steps(met, context, engine_context.fields)),
            bucket=entry[0] if entry else None,
            entry=(entry[1], entry[0]) if entry else None,
        )

    def _steps(self, met: Mapping[str, bool], context: Context, fields: Fields) -> Iterator[Step]:
        if not self._wire["enabled"]:
            yield Step(Question.SWITCH, RuleOutcome.DECIDED, f"The flag is switched off in {self.environment}.")
            return
        yield Step(Question.SWITCH, RuleOutcome.PASSED, f"The flag is switched on in {self.environment}.")
        for part in self._parts:
            is_met = met[part.name]
            decides = (part.question is Question.DEPENDENCY and not is_met) or (
                part.question is Question.STRATEGY and is_met
            )
            outcome = RuleOutcome.DECIDED if decides else RuleOutcome.MATCHED if is_met else RuleOutcome.PASSED
            differences = dict.fromkeys(self._differences(part, fields, is_met=is_met))
            yield Step(part.question, outcome, " ".join((part.sentence(context, is_met=is_met), *differences)))
            if decides:
                return
        yield Step(Question.DEFAULT, RuleOutcome.DECIDED, "No strategy of the flag lets this user in.")

    def _differences(self, part: Probe, fields: Fields, *, is_met: bool) -> Iterator[str]:
        """Yield what SDKs read differently in this context, of what a part asks."""
        strategy = part.wire["strategies"][0]
        constraints = [*strategy.get("constraints", ())] if part.is_condition else []
        for number in strategy.get("segments", ()) if part.is_condition else ():
            constraints += self._segments.get(number, ())
        found = [constraint_difference(each, fields.get(each["contextName"])) for each in constraints]
        if part.question is Question.STRATEGY:
            found.append(share_difference(strategy, fields))
            variants = self._wire["strategies"][part.strategy - 1].get("variants") or self._wire.get("variants") or []
            if is_met and len(variants) > 1:
                found.append(stickiness_difference(variants[0].get("stickiness") or "default", fields))
        yield from (each for each in found if each)

    def _entries(self, context: Context, met: Mapping[str, bool]) -> Iterator[tuple[int, int]]:
        """Yield the bucket in each gradual rollout whose conditions this user meets, and which strategy that is."""
        for number, strategy in enumerate(self._wire["strategies"], start=1):
            percentage, stickiness = SHARES.get(strategy["name"], ("", "-"))
            given = strategy.get("parameters") or {}
            if percentage not in given or given.get(stickiness, "") not in STICKY_TO_USERS or not context.user_id:
                continue
            conditions = (part for part in self._parts if part.strategy == number and part.is_condition)
            if all(met[part.name] for part in conditions):
                yield bucket(given.get("groupId") or self._wire["name"], context.user_id), number


def _state(contents: FeaturePayload, wire: Wire, parts: Iterable[Probe]) -> bytes:
    """Return a state in which each part is a flag, beside the flags and segments that they refer to."""
    probes = [part.wire for part in parts]
    parents = {each["feature"] for each in wire.get("dependencies") or ()}
    # The parents as they are served: the probe of a dependency asks them.
    features = [*probes, *(contents.features[name].wire for name in sorted(parents) if name in contents.features)]
    segments = join(contents.segments.values())
    return b'{"version":2,"features":' + encode(features) + b',"segments":' + segments + b"}"
