"""What a service reports about a migration that it runs itself, and what the guard counts of it. Pure."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from control_plane.cohort_names import (
    DIMENSION_CHARACTERS,
    DIMENSIONS_MAX,
    NAME_CHARACTERS,
    RESERVED_DIMENSIONS,
    cohorts_of,
)
from control_plane.experiments.experiment import Difference, Result
from control_plane.experiments.migration import Migration
from control_plane.experiments.observation import Observation
from control_plane.experiments.publication import outcome_signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from control_plane.signal_counts import Counts

RESULTS_MAX = 1_000
LOST_MAX = 10_000_000
MICROSECONDS_MAX = 3_600_000_000
ACCOUNT = "^[0-9a-f]{16,64}$"
FAILED, SKIPPED = "failed", "skipped"

Arm = Literal["control", "candidate"]
Dimension = Annotated[str, StringConstraints(min_length=1, max_length=DIMENSION_CHARACTERS)]
CohortName = Annotated[str, StringConstraints(max_length=NAME_CHARACTERS)]


class ReportFields(BaseModel):
    """Base of every level: nothing is converted, and unknown fields are an error."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ReportedOutcome(ReportFields):
    """One implementation's outcome, and how long it took."""

    outcome: Literal["answered", "failed", "skipped"]
    durationUs: int = Field(ge=0, le=MICROSECONDS_MAX)  # noqa: N815 - the JSON name


class ReportedResult(ReportFields):
    """One request that both implementations were asked."""

    served: Arm
    account: str = Field(pattern=ACCOUNT)
    control: ReportedOutcome
    candidate: ReportedOutcome
    equal: bool | None = None
    cohorts: dict[Dimension, CohortName] = Field(default_factory=dict, max_length=DIMENSIONS_MAX)

    @model_validator(mode="after")
    def _fits_together(self) -> "ReportedResult":
        if getattr(self, self.served).outcome == SKIPPED:
            raise ValueError(f"{self.served} served, so it can't have been skipped")
        if self.equal is not None and {self.control.outcome, self.candidate.outcome} != {"answered"}:
            raise ValueError("equal is said only where both answered")
        if taken := self.cohorts.keys() & RESERVED_DIMENSIONS:
            raise ValueError(f"{', '.join(sorted(taken))} is counted by the guard itself; name the cohort otherwise")
        return self


class LostResults(ReportFields):
    """Results that the service could not keep until now, by the side that served."""

    control: int = Field(default=0, ge=0, le=LOST_MAX)
    candidate: int = Field(default=0, ge=0, le=LOST_MAX)


class ExperimentReport(ReportFields):
    """Results under a name of the sender's choice: sent again, they count nothing."""

    batchId: str = Field(min_length=8, max_length=100)  # noqa: N815 - the JSON name
    results: list[ReportedResult] = Field(max_length=RESULTS_MAX)
    lost: LostResults = LostResults()


def samples_of(migration: Migration, report: ExperimentReport, *, slow_seconds: float) -> Iterator[tuple[Sample, ...]]:
    """Yield what the guard counts of each result."""
    for reported in report.results:
        result, cohorts = _result(migration, reported), cohorts_of(reported.cohorts)
        routed = Sample(migration.signals.routed, bad=False, engine=result.served.name)
        found = outcome_signals(migration, result, account=reported.account, slow_seconds=slow_seconds, cohorts=cohorts)
        yield routed, *found


def lost_counts(migration: Migration, lost: LostResults) -> Iterator[tuple[SeriesKey, Counts]]:
    """Yield the counts of what was lost: it was routed, owes no outcome any more, and is as good as not compared."""
    names = migration.signals
    for side, number in ((migration.control, lost.control), (migration.candidate, lost.candidate)):
        if number:
            for signal in (names.routed, names.outcome_missing, names.comparison_missing):
                yield SeriesKey(signal, side), Counts(0, number)
            yield SeriesKey(names.shadow_skipped, side), Counts(number, number)


def _result(migration: Migration, reported: ReportedResult) -> Result[None]:
    control = _observation(migration.control, reported.control)
    candidate = _observation(migration.candidate, reported.candidate)
    served, shadow = (candidate, control) if reported.served == "candidate" else (control, candidate)
    match reported.equal:
        case None:
            difference = Difference.NOT_COMPARED
        case True:
            difference = Difference.MATCH
        case False:
            difference = Difference.MISMATCH
    return Result(served, shadow, difference)


def _observation(name: str, reported: ReportedOutcome) -> Observation[str, None]:
    error = FAILED if reported.outcome == FAILED else None
    return Observation(name, None, error, reported.durationUs, skipped=reported.outcome == SKIPPED)
