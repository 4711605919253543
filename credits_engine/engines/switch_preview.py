"""The flip preview: who would be refused if the other engine judged now. Pure.

Before the flag moves, whoever moves it sees whom it would hit: users to whom the serving engine would grant the next
operation and the other engine would not.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import KINDS, Amounts, Kind, Limit
from credits_engine.engines.decisions import Book, Decision, Engine, EngineName, Outcome, Request

ENGINES: dict[EngineName, Engine] = {EngineName.LEGACY: legacy.decide, EngineName.V2: v2.decide}


@dataclass(frozen=True, slots=True)
class AnswerDiff:
    """One user and kind whose next operation the other engine would answer differently."""

    user_id: str
    plan: str
    kind: Kind
    serving: EngineName
    refused: bool
    """True where the other engine would refuse what the serving one grants; False where it is the other way round."""
    used: int
    limit: Limit
    reason: str
    """Why the refusing one of the two refuses."""

    @property
    def over(self) -> int:
        """Return by how much the other book exceeds its limit already."""
        return 0 if self.limit is None else max(self.used - self.limit, 0)


@dataclass(slots=True)
class SwitchSummary:
    """The number of users examined, and of those affected by plan."""

    users: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    granted: dict[str, int] = field(default_factory=dict)

    def count(self, flips: Iterable[AnswerDiff]) -> None:
        """Count one user once per direction, whatever kinds it concerns."""
        self.users += 1
        for plan, refused in {(flip.plan, flip.refused) for flip in flips}:
            side = self.refused if refused else self.granted
            side[plan] = side.get(plan, 0) + 1


def answer_diffs(
    user_id: str, plan: str, book_of: Callable[[EngineName], Book], *, serving: EngineName, amount: int = 1
) -> list[AnswerDiff]:
    """Return the kinds of which the other engine would answer the next `amount` differently."""
    found = []
    for kind in KINDS:
        request = Request(user_id, Amounts(**{kind: amount}))
        now, then = (ENGINES[name](book_of(name), request) for name in (serving, serving.other))
        if (now.outcome is Outcome.ALLOWED) is (then.outcome is Outcome.ALLOWED):
            continue
        refused = now.outcome is Outcome.ALLOWED
        found.append(
            _answer_diff(user_id, plan, kind, serving=serving, then=then, reason=(then if refused else now).reason)
        )
    return found


def _answer_diff(
    user_id: str, plan: str, kind: Kind, *, serving: EngineName, then: Decision, reason: str
) -> AnswerDiff:
    return AnswerDiff(
        user_id=user_id,
        plan=plan,
        kind=kind,
        serving=serving,
        refused=then.outcome is not Outcome.ALLOWED,
        used=then.used[kind],
        limit=then.limits[kind],
        reason=reason,
    )
