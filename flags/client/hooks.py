"""What is told of each evaluation to whoever listens: no listener can change an answer, or keep it from its caller."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

log = logging.getLogger(__name__)


class EvaluationReason(StrEnum):
    """How an answer came about, in OpenFeature's words, as far as a client without an engine's trace can know."""

    UNKNOWN = "unknown"
    STATIC = "static"
    """The environment variable of the flag's name decided."""
    ERROR = "error"
    """The flag is not known here; the default of the code holds."""


@dataclass(frozen=True, slots=True)
class FlagEvaluation:
    """One evaluation: which flag, for whom, in which environment, and what came of it."""

    flag: str
    value: bool
    variant: str
    user_id: str | None
    environment: str
    reason: EvaluationReason = EvaluationReason.UNKNOWN


EvaluationHook = Callable[[FlagEvaluation], None]


def notify(hooks: Sequence[EvaluationHook], evaluation: FlagEvaluation) -> None:
    """Tell every hook; one that fails is logged and the others are told."""
    for hook in hooks:
        try:
            hook(evaluation)
        except Exception:
            log.exception("A hook failed on the evaluation of %s", evaluation.flag)
