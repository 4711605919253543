"""The counts of every cohort at one moment, and what a rule sees in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from alerts.analysis.cohorts import CohortCounts
from alerts.analysis.metrics import Compare
from alerts.analysis.rule_counts import sum_counts
from alerts.analysis.rules import Action, Rule
from control_plane.cohort_names import ACCOUNT, FAILED_BEFORE, Cohort
from control_plane.platform.observability.cohort_counts import CohortCount, CohortSeries
from control_plane.platform.observability.signals import SeriesKey
from control_plane.signal_counts import Counts

AT_MOST = {ACCOUNT: Action.NOTIFY, FAILED_BEFORE: Action.HOLD}
"""What a cohort may lead to that no migration names: an account only to a notification."""


@dataclass(frozen=True, slots=True)
class CohortTotals:
    """The counts of every cohort since the beginning, by signal."""

    by_signal: Mapping[str, Mapping[Cohort, Sequence[tuple[SeriesKey, CohortCount]]]]

    @classmethod
    def of(cls, counts: Mapping[CohortSeries, CohortCount]) -> "CohortTotals":
        """Return `counts` by signal and cohort."""
        found: dict[str, dict[Cohort, list[tuple[SeriesKey, CohortCount]]]] = {}
        for (signal, engine, cohort), count in counts.items():
            of_signal = found.setdefault(signal, {})
            of_signal.setdefault(Cohort(*cohort), []).append((SeriesKey(signal, engine), count))
        return cls(found)

    def by_cohort(self, rule: Rule) -> Mapping[Cohort, CohortCounts]:
        """Return what `rule` counts of each cohort, and what its migration's control did there."""
        found = self.by_signal.get(rule.metric.signal, {})
        return {cohort: _of_cohort(rule, cohort, series) for cohort, series in found.items()}


def _of_cohort(rule: Rule, cohort: Cohort, series: Sequence[tuple[SeriesKey, CohortCount]]) -> CohortCounts:
    control = Counts()
    if rule.compare is Compare.ABSOLUTE:
        control = _sum(count for key, count in series if key.engine == rule.migration.control)
    accounts = max((count.accounts for key, count in series if key.engine != rule.migration.control), default=0)
    counts = sum_counts(rule, ((key, Counts(count.bad, count.total)) for key, count in series))
    return CohortCounts(counts, control, accounts, AT_MOST.get(cohort.dimension, Action.ROLLBACK))


def _sum(counts: Iterable[CohortCount]) -> Counts:
    return sum((Counts(count.bad, count.total) for count in counts), Counts())
