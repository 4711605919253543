"""The guard's Prometheus metrics: counts, evidence, verdicts, rollbacks, and whether it is alive."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from flask import Flask
from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from sqlalchemy.orm import Session

from alerts import store
from alerts.analysis.attribution import Attribution
from alerts.analysis.metrics import Compare
from alerts.analysis.rules import Rule
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions import rules_file
from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import Rollout, exposure
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals, telemetry
from control_plane.platform.observability.request_outcomes import arm_label
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.runtime import leases
from control_plane.platform.settings import current
from control_plane.rollouts import store as rollout_store
from control_plane.signal_counts import Counts

TICK_SECONDS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
TICKS = Histogram("guard_tick_seconds", "Time of one evaluation of all alerts.", buckets=TICK_SECONDS)


def collect() -> Iterable[Metric]:
    """Return the guard's metrics as the database has them now: the same from whichever process they are scraped."""
    now = clock.now()
    rules = rules_file.current().rules
    with read_only() as session:
        yield from _signals(signals.totals(session), rules)
        yield from _liveness(leases.guard_expires_at(session), now)
        found = rollout_store.load_all(session)
        yield _exposed(found)
        yield from _verdict_metrics([(rollout.flag, _verdicts(session, rollout)) for rollout in found])
        yield _rollbacks([(rollout.flag, store.rollback_causes(session, rollout.flag)) for rollout in found], rules)


def init_app(app: Flask) -> None:
    """Add the guard to each scrape."""
    telemetry.collect_at_scrape(app, collect)


def series_of(rule: Rule) -> tuple[SeriesKey, ...]:
    """Return every series that `rule` counts."""
    if rule.compare is Compare.DISCORDANT:
        return SeriesKey(rule.signal), SeriesKey(rule.migration.signals.failed_control_only)
    if rule.metric.engine:
        roles = ("served",) if rule.by_account else ("served", "shadow")
        return tuple(SeriesKey(rule.signal, rule.metric.engine, role) for role in roles)
    sides = (rule.migration.candidate, rule.migration.control) if rule.metric.engine_unknown else ()
    engines = ("", *(arm_label(rule.flag, side) for side in sides))
    return tuple(SeriesKey(rule.signal, engine) for engine in engines)


def _signals(totals: dict[SeriesKey, Counts], rules: Sequence[Rule]) -> Iterator[Metric]:
    # A series that is born at its first bad outcome has no increase, so that one would never be seen.
    born = dict.fromkeys((series for rule in rules for series in series_of(rule)), Counts(0, 0)) | totals
    labels = ["signal", "engine", "role"]
    outcomes = CounterMetricFamily("guard_outcomes", "Outcomes the guard counted.", labels=labels)
    bad = CounterMetricFamily("guard_bad_outcomes", "Bad outcomes among them.", labels=labels)
    for series, count in sorted(born.items()):
        outcomes.add_metric(series, count.total)
        bad.add_metric(series, count.bad)
    yield from (outcomes, bad)


def _liveness(expires_at: datetime | None, now: datetime) -> Iterator[Metric]:
    left = (expires_at - now).total_seconds() if expires_at else 0.0
    yield GaugeMetricFamily(
        "guard_lease_seconds_left", "Until exposure ends without a heartbeat.", value=max(0.0, left)
    )
    beaten_at = expires_at - timedelta(seconds=current().guard_lease_seconds) if expires_at else None
    lag = (now - beaten_at).total_seconds() if beaten_at else float("inf")
    yield GaugeMetricFamily("guard_lag_seconds", "Since the guard last judged.", value=max(0.0, lag))


def _exposed(found: Sequence[Rollout]) -> Metric:
    metric = GaugeMetricFamily("guard_exposed", "Whether v2 is open to anybody in production.", labels=["flag"])
    for rollout in found:
        metric.add_metric([rollout.flag], float(not exposure(rollout, PRODUCTION).empty))
    return metric


def _verdicts(session: Session, rollout: Rollout) -> list[Verdict]:
    return store.latest_verdicts(session, rollout.flag, attempt=rollout.attempt)


def _verdict_metrics(verdicts: Sequence[tuple[str, Sequence[Verdict]]]) -> Iterator[Metric]:
    names = ["flag", "alert"]
    evidence = GaugeMetricFamily("guard_evidence_log10", "Evidence of a breach, a power of ten.", labels=names)
    bar = GaugeMetricFamily("guard_rollback_log10", "The evidence at which an alert rolls back.", labels=names)
    status = GaugeMetricFamily("guard_verdict", "1 for the verdict that stands.", labels=[*names, "status"])
    for flag, of_flag in verdicts:
        for verdict in of_flag:
            evidence.add_metric([flag, verdict.alert], verdict.evidence_log10)
            if verdict.rollback_log10 is not None:
                bar.add_metric([flag, verdict.alert], verdict.rollback_log10)
            for each in Status:
                status.add_metric([flag, verdict.alert, each.value], float(each is verdict.status))
    yield from (evidence, bar, status)


def _rollbacks(causes: Sequence[tuple[str, Sequence[tuple[str, str]]]], rules: Sequence[Rule]) -> Metric:
    born = {(rule.flag, rule.name, each.value): 0 for rule in rules if rule.may_roll_back for each in Attribution}
    counted = Counter((flag, *cause) for flag, of_flag in causes for cause in of_flag)
    labels = ["flag", "alert", "attribution"]
    metric = CounterMetricFamily("guard_rollbacks", "Rollbacks, by what caused them.", labels=labels)
    for cause, count in sorted((born | counted).items()):
        metric.add_metric(cause, count)
    return metric
