"""The calibration run: what a comparison makes of equal engines must be nothing, and a row must tell its own story.

Each operation of the journal is judged again from its own row, without the books: legacy against legacy, in which
every mismatch is noise of the comparison itself; and both engines, whose answers must be the ones that were journalled.
"""

from dataclasses import dataclass, field, replace

from credits_engine.engines.amounts import Amounts
from credits_engine.engines.comparison import REFERENCE, Variance, compare
from credits_engine.engines.decisions import Book, EngineName, Outcome, Request
from credits_engine.engines.observation import Observation
from credits_engine.engines.receipts import EngineResult, Receipt


@dataclass(slots=True)
class AATest:
    """The result of an A/A test on `operations` rows. Each mismatch or unlike answer is the id of a journal row."""

    operations: int = 0
    mismatches: list[int] = field(default_factory=list)
    unlike: list[int] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Return whether there were operations and none stood out."""
        return self.operations > 0 and not self.mismatches and not self.unlike

    def take(self, receipt: Receipt) -> None:
        """Judge one operation again."""
        self.operations += 1
        if _against_itself(receipt) is not Variance.MATCH:
            self.mismatches.append(receipt.journal_id)
        if any(_decision(receipt, side) != side.outcome for side in _decide(receipt)):
            self.unlike.append(receipt.journal_id)


def _against_itself(receipt: Receipt) -> Variance:
    legacy = receipt.served if receipt.served.engine is EngineName.LEGACY else receipt.shadow
    book, request = _book(receipt, legacy), Request(receipt.user_id, receipt.requested)
    one, other = (
        Observation(name, REFERENCE[EngineName.LEGACY](book, request)) for name in (EngineName.LEGACY, EngineName.V2)
    )
    return compare(one, other, served_book=book, shadow_book=replace(book), request=request).variance


def _decide(receipt: Receipt) -> list[EngineResult]:
    """Return the sides that gave an answer: an error or a missing one can't be judged again."""
    return [
        side for side in (receipt.served, receipt.shadow) if side.outcome is not None and side.outcome != Outcome.ERROR
    ]


def _decision(receipt: Receipt, side: EngineResult) -> Outcome:
    request = Request(receipt.user_id, receipt.requested)
    return REFERENCE[side.engine](_book(receipt, side), request).outcome


def _book(receipt: Receipt, side: EngineResult) -> Book:
    """Return the book as it was loaded: what packs held is what they hold afterwards and what they paid."""
    blocked = side.reason if side.outcome is Outcome.DENIED_STATE else None
    from_packs: Amounts = receipt.spent_from_packs
    return Book(side.period, side.used, side.limits, blocked, side.bought + from_packs)
