"""Count experiments for the guard, under the signals of their migration."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

from control_plane.cohort_names import Cohorts, cohorts_of
from control_plane.experiments.experiment import Difference, Experiment, Result
from control_plane.experiments.migration import Migration
from control_plane.experiments.observation import Observation
from control_plane.platform.observability import request_outcomes, signals
from control_plane.platform.observability.signals import Sample

SLOW_SECONDS = 0.05
"""From when on an answer is slow where no alert says it."""
NO_COHORTS: Mapping[str, str] = MappingProxyType({})

Request = TypeVar("Request")
Decision = TypeVar("Decision")


def run_and_count(
    experiment: Experiment[Request, Decision],
    request: Request,
    *,
    candidate_serves: bool,
    account: str,
    operation: str | None = None,
    cohorts: Mapping[str, str] = NO_COHORTS,
) -> Decision:
    """Answer `request` by the side that serves, run the other beside it, and count both.

    Raises what the serving side raised. Failures of one account count up to its share; a failed `operation` that is
    tried again under the same key counts once. `cohorts` are the parts of the traffic that the request belongs to,
    known before either side runs, such as `{"country": "NO", "with a voucher": ""}`.
    """
    migration = experiment.migration
    engine, traffic = migration.candidate if candidate_serves else migration.control, cohorts_of(cohorts)
    _note_route(migration, engine, account, traffic)
    result = experiment.run(request, candidate_serves=candidate_serves)
    slow_seconds = signals.bound_seconds(migration.signals.slow, SLOW_SECONDS)
    found = outcome_signals(migration, result, account=account, slow_seconds=slow_seconds, cohorts=traffic)
    samples = _of_operation(found, operation)
    served, *others = samples
    request_outcomes.count_served(migration.flag, served)
    signals.record(*others)
    return result.answer()


def _of_operation(samples: tuple[Sample, ...], operation: str | None) -> Iterable[Sample]:
    """Let what counts by account count once for an operation."""
    if operation is None:
        return samples
    return [each._replace(operation=operation) if each.account else each for each in samples]


def outcome_signals(
    migration: Migration,
    result: Result[Decision],
    *,
    account: str,
    slow_seconds: float = SLOW_SECONDS,
    cohorts: Cohorts = (),
) -> tuple[Sample, ...]:
    """Return the samples of one result: how serving went, first, then who failed, and whether the answers differ."""
    names, served, shadow = migration.signals, result.served, result.shadow
    failed = served.error is not None
    common = Sample("", bad=False, account=account, cohorts=cohorts)
    serving = common._replace(signal=names.serving_failure, bad=failed, engine=served.name)
    samples = [serving, *_of_side(migration, served, "served", common, slow_seconds)]
    if not shadow.skipped:
        samples += _of_side(migration, shadow, "shadow", common, slow_seconds)
        samples += _one_sided_failure(migration, served, shadow, account)
    compared = result.difference is not Difference.NOT_COMPARED
    if compared:
        differs = result.difference is Difference.MISMATCH
        samples.append(common._replace(signal=names.difference, bad=differs))
    else:
        samples.append(Sample(names.comparison_missing, bad=False, engine=served.name))
    if failed:
        # Failures of one account count once: without this they would look as if nobody counted.
        samples.append(Sample(names.outcome_missing, bad=False, engine=served.name))
    missing = shadow.skipped or shadow.error is not None
    samples.append(Sample(names.shadow_skipped, missing, engine=served.name))
    return tuple(samples)


def _note_route(migration: Migration, engine: str, account: str, cohorts: Cohorts) -> None:
    """Count what is routed before anything else can go wrong: the guard holds it against what is counted afterwards."""
    names = migration.signals
    signals.record(Sample(names.routed, bad=False, engine=engine))
    missing = [Sample(signal, bad=False, engine=engine) for signal in (names.outcome_missing, names.comparison_missing)]
    failure = Sample(names.serving_failure, bad=True, engine=engine, account=account, cohorts=cohorts)
    request_outcomes.set_arm(migration.flag, engine, failure=failure, missing=tuple(missing))


def _of_side(
    migration: Migration, side: Observation[str, Decision], role: str, common: Sample, slow_seconds: float
) -> list[Sample]:
    slow = side.duration_us > slow_seconds * 1e6
    return [
        common._replace(signal=migration.signals.failure, bad=side.failed, engine=side.name, role=role),
        Sample(migration.signals.slow, slow, side.name, role),
    ]


def _one_sided_failure(
    migration: Migration, served: Observation[str, Decision], shadow: Observation[str, Decision], account: str
) -> list[Sample]:
    failed = [side.name for side in (served, shadow) if side.failed]
    if len(failed) != 1:
        return []
    names = migration.signals
    signal = names.failed_candidate_only if failed[0] == migration.candidate else names.failed_control_only
    return [Sample(signal, bad=True, account=account)]
