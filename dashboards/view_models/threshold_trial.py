"""Another threshold for an alert, tried on what was counted in the last days; the file stays what its owners wrote."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from alerts.analysis import quantities
from alerts.analysis.backtest import Backtest, backtest
from alerts.analysis.evidence import Counts
from alerts.analysis.metrics import Compare, Unit
from alerts.analysis.quantities import duration_text
from alerts.analysis.rules import Action, ErrorBudget, Rule, counted
from alerts.analysis.verdicts import Verdict, bad_of
from control_plane.platform.observability import signal_points
from control_plane.platform.observability.signals import Count
from dashboards.filters import moment

PERIOD = timedelta(days=7)
STEP_MINUTES = 5
HIGHEST = 0.5
LONGEST_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    """A threshold and a window as somebody wrote them; empty for those in force."""

    threshold: str = ""
    window: str = ""


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What one threshold would have done."""

    label: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Trial:
    """The form, and what came of it once it was sent."""

    wanted: Wanted
    minutes: int = STEP_MINUTES
    mistake: str = ""
    counted: str = ""
    results: Sequence[TrialResult] = ()
    yaml: str = ""


def read(
    session: Session, rule: Rule, verdict: Verdict | None, budget: ErrorBudget, wanted: Wanted, *, now: datetime
) -> Trial | None:
    """Return what `wanted` would have done beside what is in force; None for an alert that has no rate to choose."""
    if rule.tripwire or rule.slow_ms is not None or rule.compare is Compare.DISCORDANT:
        return None
    filled = Wanted(wanted.threshold or rule.threshold_text, wanted.window or duration_text(rule.window_seconds))
    if not wanted.threshold:
        return Trial(filled)
    try:
        other = _rule(rule, filled)
    except ValueError as mistake:
        return Trial(filled, mistake=str(mistake))
    history, burst_size = _history(session, rule, now), verdict.burst_size if verdict else 1.0
    runs = [(each, backtest(each, history, budget=budget, burst_size=burst_size)) for each in (rule, other)]
    results = [TrialResult(_label(each), _sentence(each, run)) for each, run in dict(runs).items()]
    return Trial(filled, counted=_counted(runs[0][1]), results=results, yaml=_yaml(rule, filled))


def _rule(rule: Rule, wanted: Wanted) -> Rule:
    """Return the alert as it is wanted. Raises ValueError with what was expected."""
    threshold = quantities.threshold(wanted.threshold)
    if threshold.unit is not Unit.RATIO or not 0 < threshold.amount <= HIGHEST:
        raise ValueError("The threshold is a share above 0% and up to 50%, such as 0.5%.")
    seconds = float(quantities.duration(wanted.window))
    if not STEP_MINUTES * 60 <= seconds <= LONGEST_SECONDS:
        raise ValueError(f"The window is {STEP_MINUTES}m to 24h here, such as 10m.")
    return replace(rule, threshold=float(threshold.amount), threshold_text=wanted.threshold, window_seconds=seconds)


def _history(session: Session, rule: Rule, now: datetime) -> list[tuple[datetime, Counts]]:
    end = int(now.timestamp()) // 60 // STEP_MINUTES + 1
    first = end - int(PERIOD / timedelta(minutes=STEP_MINUTES))
    points = signal_points.points(session, first=first, end=end, step=STEP_MINUTES, signals=rule.signals)
    by_point: dict[int, list[tuple[tuple[str, str, str], Count]]] = {}
    for (series, point), count in points.items():
        by_point.setdefault(point, []).append((series, count))
    return [
        (datetime.fromtimestamp(point * STEP_MINUTES * 60, UTC), counted(rule, by_point[point]))
        for point in sorted(by_point)
    ]


def _label(rule: Rule) -> str:
    return f"{rule.threshold_text} in {duration_text(rule.window_seconds)}"


def _sentence(rule: Rule, run: Backtest) -> str:
    done = "notified" if rule.action is Action.NOTIFY else "held"
    acts = ((done, run.held_at), ("rolled back", run.rolled_back_at))
    found = [f"{act} on {moment(at)}" for act, at in acts if at is not None]
    return f"Would have {' and '.join(found)}." if found else "Would have done nothing."


def _counted(run: Backtest) -> str:
    if not run.counts.total:
        return "Nothing that it counts happened in the last 7 days."
    worst = f" The worst window had {bad_of(run.highest)}." if run.counts.bad else ""
    return f"In the last 7 days {bad_of(run.counts)} were bad.{worst}"


def _yaml(rule: Rule, wanted: Wanted) -> str:
    return f"{rule.name}:\n  threshold: {wanted.threshold}\n  window: {wanted.window}\n"
