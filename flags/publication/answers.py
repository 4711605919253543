"""What one edition answers to callers who don't evaluate by themselves: browsers, and OpenFeature providers.

Flags under a rollout are evaluated by us, with reasons; flags in Unleash's own words by its official engine.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flags.compilation import Wire
from flags.contexts import Context
from flags.deciding import Decider, decider
from flags.evaluation import EvaluationContext, Reason, evaluate
from flags.phased import PhasedFlag
from flags.publication.contents import encode
from flags.publication.defined import DefinedFlag, defined_flags
from flags.publication.edition import Edition

NO_VARIANT = {"name": "disabled", "enabled": False}
SENTENCES = {
    Reason.STATIC: "The flag is on for everybody in this environment.",
    Reason.DISABLED: "The flag is switched off in this environment.",
    Reason.TARGETING_MATCH: "A strategy of the flag let this user in.",
    Reason.SPLIT: "A strategy of the flag let a share of the users in, this one among them.",
    Reason.DEFAULT: "No strategy of the flag let this user in.",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One flag's answer and how it came about; `variant` is the engine's, None for a flag without variants."""

    key: str
    value: bool
    reason: Reason
    sentence: str
    phase: str | None = None
    variant: Mapping[str, Any] | None = None


class Answers:
    """The answers of one edition, everything prepared that no caller changes."""

    def __init__(self, edition: Edition, now: datetime) -> None:
        self._edition = edition
        features = edition.contents.features
        self._defined = defined_flags(edition.contents, [name for name in features if name not in edition.phased])
        self._deciders = {name: decider(flag, now) for name, flag in edition.phased.items()}
        self._toggles: list[tuple[bytes, Decider | DefinedFlag]] = [
            (encode(_toggle(item.wire, NO_VARIANT)), self._deciders.get(name) or self._defined[name])
            for name, item in features.items()
        ]

    def needs_user(self, key: str) -> bool:
        """Whether nothing can be said of this flag as long as nobody is named."""
        asked = self._deciders.get(key)
        return asked is not None and asked.settled is None and not asked.otherwise

    def one(self, key: str, context: Context, now: datetime) -> Answer | None:
        """The answer of the flag `key`, None where there is no such flag."""
        phased = self._edition.phased.get(key)
        if phased is not None:
            return _evaluated(phased, context, now)
        defined = self._defined.get(key)
        return _answer(key, defined, self._written(context, now)) if defined else None

    def all(self, context: Context, now: datetime) -> Iterator[Answer]:
        """The answer of every flag, by name."""
        written = self._written(context, now)
        for key in self._edition.contents.features:
            phased = self._edition.phased.get(key)
            yield _evaluated(phased, context, now) if phased else _answer(key, self._defined[key], written)

    def toggles(self, context: Context, now: datetime) -> bytes:
        """The body of the frontend API: the flags that are on for this user."""
        user_id, signed_up_at = context.user_id, context.signed_up_at
        written = self._written(context, now) if self._defined else b""
        on = []
        for toggle, asked in self._toggles:
            if isinstance(asked, Decider):
                if asked.decide(user_id, signed_up_at):
                    on.append(toggle)
            elif asked.is_on(written):
                on.append(self._with_variant(asked, written) if asked.has_variants else toggle)
        return b'{"toggles":[' + b",".join(on) + b"]}"

    def _with_variant(self, asked: DefinedFlag, written: bytes) -> bytes:
        wire = self._edition.contents.features[asked.name.decode()].wire
        return encode(_toggle(wire, asked.variant(written) or NO_VARIANT))

    def _written(self, context: Context, now: datetime) -> bytes:
        return encode(context.document(self._edition.environment, now))


def _evaluated(flag: PhasedFlag, context: Context, now: datetime) -> Answer:
    evaluation = evaluate(flag, EvaluationContext(context.user_id, context.signed_up_at), now)
    return Answer(flag.key, evaluation.value, evaluation.reason, evaluation.sentence, evaluation.phase)


def _answer(key: str, flag: DefinedFlag, written: bytes) -> Answer:
    value = flag.is_on(written)
    reason = flag.reason(value=value)
    return Answer(key, value, reason, SENTENCES[reason], variant=flag.variant(written))


def _toggle(wire: Wire, variant: Mapping[str, Any]) -> Wire:
    payload = {"payload": variant["payload"]} if variant.get("payload") else {}
    chosen = {"name": variant["name"], "enabled": variant["enabled"], **payload}
    return {
        "name": wire["name"],
        "enabled": True,
        "impressionData": bool(wire.get("impressionData")),
        "variant": {**chosen, "feature_enabled": True, "featureEnabled": True},
    }
