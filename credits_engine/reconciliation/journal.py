"""The journal is the truth and both books are its projections: `reconcile` holds them against it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from credits_engine.store import packs, reconciliation
from credits_engine.store.reconciliation import BookTotal

LISTED_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The rows of books and packs checked, and those that differ; a thousand of the books' are listed."""

    checked: int
    found: int
    differences: tuple[BookTotal, ...]
    packs: tuple[int, ...] = ()
    """Packs that do not hold what their entries add up to."""

    @property
    def clean(self) -> bool:
        return self.found == 0


def reconcile(session: Session) -> Reconciliation:
    """Recompute both books and all packs from the journal and report every row that isn't what it adds up to."""
    checked = found = 0
    differences: list[BookTotal] = []
    for rows, differing in reconciliation.differences(session):
        checked += rows
        found += len(differing)
        differences += differing[: LISTED_MAX - len(differences)]
    bought, wrong = packs.differing(session)
    return Reconciliation(checked + bought, found + len(wrong), tuple(differences), wrong)
