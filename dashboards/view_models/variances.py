"""The screens of variances: where the engines differed, by cause, and one operation with both answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from credits_engine.api.journal_entries import flat, full_entry
from credits_engine.engines.amounts import KINDS, Amounts, Kind, Limits
from credits_engine.engines.comparison import Variance
from credits_engine.engines.decisions import EngineName
from credits_engine.store import journal, variances
from credits_engine.store.journal import Filters
from credits_engine.store.variances import VarianceGroup
from dashboards.variance_sentences import CLASSES, cause_sentence
from dashboards.view_models.credits import OperationView, operation_view

PAGE_OPERATIONS = 30
GROUPED_MAX = 10_000
"""How many of the latest operations are grouped: what is older is found by dates."""


@dataclass(frozen=True, slots=True)
class VariancesScreen:
    """Groups, and a page of the operations in them. `older` continues the operations."""

    kinds: ClassVar[list[Kind]] = KINDS
    classes: ClassVar[Sequence[str]] = tuple(CLASSES)

    now: datetime
    wanted: Filters
    address: Mapping[str, str]
    """The filter as parameters, as the API has them too."""
    groups: Sequence[VarianceGroup]
    operations: Sequence[OperationView]
    older: int | None

    @property
    def counted(self) -> int:
        """Return how many operations the groups hold."""
        return sum(group.operations for group in self.groups)

    @property
    def cut(self) -> bool:
        """Return whether older operations that fit are not in the groups."""
        return self.counted >= GROUPED_MAX

    def address_of(self, group: VarianceGroup) -> dict[str, str]:
        """Return the parameters that lead to the operations of a group."""
        found = {"class": group.variance, "cause": group.cause, "plan": group.plan}
        if len(group.kinds) == 1:
            found["creditType"] = group.kinds[0]
        return {**self.address, **{name: value for name, value in found.items() if value}}


@dataclass(frozen=True, slots=True)
class KindDecision:
    """One kind in one engine's answer: what was used before, the limit, what was charged."""

    kind: Kind
    used: int
    limit: int | None
    charged: int

    @property
    def from_packs(self) -> int:
        """Return what of the charge is beyond the plan's limit, which packs pay; also of a shadow that would charge."""
        return 0 if self.limit is None else max(0, self.charged - max(self.limit - self.used, 0))

    @property
    def from_plan(self) -> int:
        """Return what of the charge the plan's credits of the period pay."""
        return self.charged - self.from_packs


@dataclass(frozen=True, slots=True)
class DecisionView:
    """One engine's answer. An outcome of None is an engine that was not asked."""

    engine: EngineName
    serving: bool
    outcome: str | None
    charged: Amounts | None
    posted: Amounts
    period: tuple[datetime, datetime] | None
    rule: str
    kinds: Sequence[KindDecision]
    microseconds: int | None


@dataclass(frozen=True, slots=True)
class OperationScreen:
    """One row of the journal, legacy and v2 side by side."""

    now: datetime
    entry: OperationView
    cause: str
    decisions: Sequence[DecisionView]
    evaluation: str | None
    columns: Mapping[str, object]
    """The whole row."""


def read(
    session: Session, wanted: Filters, address: Mapping[str, str], *, before: int | None, now: datetime
) -> VariancesScreen:
    """Return the variances that fit, grouped, and a page of them."""
    grouped = variances.groups(session, wanted, most=GROUPED_MAX)
    page = journal.variances(session, replace(wanted, before_id=before), limit=PAGE_OPERATIONS)
    return VariancesScreen(now, wanted, address, grouped, tuple(map(operation_view, page.rows)), page.next_before)


def read_operation(session: Session, journal_id: int, now: datetime) -> OperationScreen | None:
    """Return the screen of one operation; None where the journal has none of that number."""
    row = journal.find(session, journal_id)
    if row is None:
        return None
    entry, differs = operation_view(row), row["variance"] not in (None, Variance.MATCH)
    return OperationScreen(
        now=now,
        entry=entry,
        cause=cause_sentence(row["variance"], row["cause"] or "") if differs else "",
        decisions=[_decision(row, engine) for engine in EngineName] if entry.outcome else (),
        evaluation=row["evaluation_reason"],
        columns=flat(full_entry(row)),
    )


def _decision(row: Mapping[str, Any], engine: EngineName) -> DecisionView:
    name, serving = engine.value, row["served_engine"] == engine
    start, end = row[f"{name}_period_start"], row[f"{name}_period_end"]
    return DecisionView(
        engine=engine,
        serving=serving,
        outcome=row[f"{name}_outcome"],
        charged=row[f"{name}_charged"],
        posted=row[f"{name}_posted"],
        period=(start, end) if start and end else None,
        rule=row["reason" if serving else "shadow_reason"] or "",
        kinds=_kinds(row, name),
        microseconds=row[f"{name}_us"],
    )


def _kinds(row: Mapping[str, Any], name: str) -> Sequence[KindDecision]:
    used: Amounts | None = row[f"{name}_used"]
    limits: Limits | None = row[f"{name}_limit"]
    charged: Amounts | None = row[f"{name}_charged"]
    if used is None or limits is None:
        return ()
    wanted = [kind for kind in KINDS if row["requested"][kind]]
    return [KindDecision(kind, used[kind], limits[kind], charged[kind] if charged else 0) for kind in wanted]
