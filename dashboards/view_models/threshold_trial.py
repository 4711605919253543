"""Another threshold for an alert, tried on what was counted in the last days; the file stays what its owners wrote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy.orm import Session

from alerts.analysis import quantities
from alerts.analysis.backtest import Backtest, backtest
from alerts.analysis.metrics import Compare, Unit
from alerts.analysis.quantities import duration_text
from alerts.analysis.rule_counts import sum_counts
from alerts.analysis.rules import Action, ErrorBudget, Rule
from alerts.analysis.verdicts import Verdict, bad_of
from control_plane.platform.observability import signal_points
from control_plane.signal_counts import Counts
from dashboards.filters import NARROW, moment, share, span
from dashboards.language import N_, gettext
from dashboards.stored_sentences import localized_value

PERIOD = timedelta(days=7)
STEP_MINUTES = 5
HIGHEST = 0.5
T = TypeVar("T")
HOUR_SECONDS, LONGEST_SECONDS = 3600, 86_400


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
    slower_than: str = ""
    """The duration beyond which an outcome was counted as bad: of it another share is tried, and no other duration."""
    minutes: int = STEP_MINUTES
    mistake: str = ""
    counted: str = ""
    results: Sequence[TrialResult] = ()
    yaml: str = ""


def read(
    session: Session, rule: Rule, verdict: Verdict | None, budget: ErrorBudget, wanted: Wanted, *, now: datetime
) -> Trial | None:
    """Return what `wanted` would have done beside what is in force; None for an alert that has no rate to choose."""
    if rule.tripwire or rule.compare is Compare.DISCORDANT:
        return None
    slower_than = _limit(rule) if rule.slow_ms is not None else ""
    window = duration_text(max(rule.window_seconds, STEP_MINUTES * 60))
    filled = Wanted(_plainly(wanted.threshold) or _share_text(rule), _plainly(wanted.window) or window)
    if not wanted.threshold:
        return Trial(filled, slower_than)
    try:
        other = _rule(rule, filled)
    except ValueError as mistake:
        return Trial(filled, slower_than, mistake=str(mistake))
    history, burst_size = _history(session, rule, now), verdict.burst_size if verdict else 1.0
    runs = [(each, backtest(each, history, budget=budget, burst_size=burst_size)) for each in (rule, other)]
    results = [TrialResult(_label(each), _sentence(each, run)) for each, run in dict(runs).items()]
    return Trial(filled, slower_than, counted=_counted(rule, runs[0][1]), results=results, yaml=_yaml(rule, filled))


def _rule(rule: Rule, wanted: Wanted) -> Rule:
    """Return the alert as it is wanted. Raises ValueError with what was expected."""
    threshold = _read(quantities.parse_threshold, wanted.threshold)
    if threshold is None or threshold.unit is not Unit.RATIO or not 0 < threshold.amount <= HIGHEST:
        raise ValueError(gettext("The threshold is a share above 0%% and up to 50%%, such as 0.5%%."))
    seconds = float(_read(quantities.parse_duration, wanted.window) or 0)
    if not STEP_MINUTES * 60 <= seconds <= LONGEST_SECONDS:
        raise ValueError(gettext("The window is %(minutes)s min to 24 h here, such as 10 min.", minutes=STEP_MINUTES))
    if rule.by_account and seconds % HOUR_SECONDS:
        raise ValueError(gettext("A user counts once an hour, so the window is a number of hours, such as 1 h."))
    text = rule.threshold_text if rule.slow_ms is not None else wanted.threshold
    return replace(rule, threshold=float(threshold.amount), threshold_text=text, window_seconds=seconds)


def _plainly(text: str) -> str:
    """Return a figure as `alerts.yaml` has it of one as the pages write it: `0,5 %` is 0.5%, `10 min` 10m."""
    return "".join(text.split()).replace("min", "m").replace(",", ".")


def _read(parse: Callable[[str], T], text: str) -> T | None:
    try:
        return parse(text)
    except ValueError:
        return None


def _limit(rule: Rule) -> str:
    return f"{rule.slow_ms:g}{NARROW}ms"


def _share_text(rule: Rule) -> str:
    """Return the share that may be bad, as `alerts.yaml` writes one: of a duration what its quantile leaves."""
    return rule.threshold_text if rule.slow_ms is None else f"{rule.threshold * 100:.4g}%"


def _history(session: Session, rule: Rule, now: datetime) -> list[tuple[datetime, Counts]]:
    end = int(now.timestamp()) // 60 // STEP_MINUTES + 1
    first = end - int(PERIOD / timedelta(minutes=STEP_MINUTES))
    points = signal_points.points(session, first=first, end=end, step=STEP_MINUTES, signals=rule.signals)
    by_point: dict[int, list[tuple[tuple[str, str, str], Counts]]] = {}
    for (series, point), count in points.items():
        by_point.setdefault(point, []).append((series, count))
    return [
        (datetime.fromtimestamp(point * STEP_MINUTES * 60, UTC), sum_counts(rule, by_point[point]))
        for point in sorted(by_point)
    ]


def _label(rule: Rule) -> str:
    threshold, window = share(rule.threshold), span(rule.window_seconds)
    if rule.slow_ms is None:
        return gettext("%(threshold)s in %(window)s", threshold=threshold, window=window)
    return gettext(
        "%(share)s slower than %(limit)s in %(window)s",
        share=threshold,
        limit=_limit(rule),
        window=window,
    )


def _sentence(rule: Rule, run: Backtest) -> str:
    first = N_("notified on %(moment)s") if rule.action is Action.NOTIFY else N_("held on %(moment)s")
    acts = ((first, run.held_at), (N_("rolled back on %(moment)s"), run.rolled_back_at))
    found = [gettext(act, moment=moment(at)) for act, at in acts if at is not None]
    if not found:
        return gettext("Would have done nothing.")
    return gettext("Would have %(acts)s.", acts=gettext(" and ").join(found))


def _counted(rule: Rule, run: Backtest) -> str:
    if not run.counts.total:
        return gettext("Nothing that it counts happened in the last 7 days.")
    counted = gettext("In the last 7 days %(bad)s were bad.", bad=localized_value(bad_of(run.counts, rule.per)))
    if not run.counts.bad:
        return counted
    worst = gettext("The worst window had %(bad)s.", bad=localized_value(bad_of(run.highest, rule.per)))
    return f"{counted} {worst}"


def _yaml(rule: Rule, wanted: Wanted) -> str:
    if rule.slow_ms is None:
        return f"{rule.name}:\n  threshold: {wanted.threshold}\n  window: {wanted.window}\n"
    quantile = 100 - quantities.parse_threshold(wanted.threshold).amount * 100
    return (
        f"{rule.name}:\n  threshold: {rule.threshold_text}\n"
        f"  quantile: {quantile.normalize():f}\n  window: {wanted.window}\n"
    )
