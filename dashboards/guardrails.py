"""Alerts prepared for drawing: value, limit, evidence, history. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.analysis.attribution import Attribution
from alerts.analysis.evidence import LIKELY, attempts_for_chance
from alerts.analysis.metrics import Compare
from alerts.analysis.rule_counts import is_read_by
from alerts.analysis.rules import Action, ErrorBudget, Rule, error_budgets
from alerts.analysis.verdicts import Status, Verdict
from control_plane.experiments.migration import SideNames
from control_plane.signal_counts import Counts
from dashboards.chart_windows import TimeScale
from dashboards.charts import CARD, Chart, EvidenceBar, Frame, Sample, evidence_bar, line_chart
from dashboards.filters import NARROW, plain, share, span
from dashboards.language import gettext, ngettext
from dashboards.side_names import localized_names

HISTORY = timedelta(hours=1)
WORST_FIRST = (Status.ROLLBACK, Status.HOLD, Status.BLIND, Status.WATCH)
"""The rest stay in the order of the file: a card should not jump because traffic paused."""

SeriesKey = tuple[str, str, str]
Minutes = Collection[tuple[tuple[SeriesKey, int], Counts]]
"""Counts, each under its (signal, engine, role) and minute of the epoch."""
Sources = Mapping[tuple[str, str], Sequence[tuple[int, Counts]]]
"""The same by signal and engine, each with its minute."""
NOTHING = (0, 0)
"""Neither bad nor any at all."""


@dataclass(frozen=True, slots=True)
class AlertView:
    """One alert as people see it. `verdict` is None until the guard has judged it in this attempt."""

    rule: Rule
    verdict: Verdict | None
    chart: Chart
    bar: EvidenceBar
    scale: TimeScale
    is_latched: bool
    """The rollout is rolled back, and the verdicts that did it stay as they were then."""

    @property
    def name(self) -> str:
        return self.rule.name

    @property
    def title(self) -> str:
        return plain(self.rule.name)

    @property
    def measured(self) -> str:
        """Describe what counts as bad, over which time and up to how much."""
        values = {"span": span(self.rule.window_seconds), "threshold": share(self.rule.threshold)}
        if self.rule.slow_ms is not None:
            limit = f"{self.rule.slow_ms:g}{NARROW}ms"
            return gettext("slower than %(limit)s in %(span)s, allowed %(threshold)s", limit=limit, **values)
        if self.rule.by_account:
            return gettext("of users had a bad one in %(span)s, allowed %(threshold)s", **values)
        match self.rule.compare:
            case Compare.PAIRED:
                return gettext("differing in %(span)s, allowed %(threshold)s", **values)
            case Compare.DRIFT:
                return gettext("apart on average in %(span)s, allowed %(threshold)s", **values)
            case _:
                return gettext("in %(span)s, allowed %(threshold)s", **values)

    @property
    def tripping(self) -> str:
        """Say what the first bad outcome of a tripwire does."""
        match self.rule.action:
            case Action.ROLLBACK:
                return gettext("None is allowed: the first one rolls back.")
            case Action.HOLD:
                return gettext("None is allowed: the first one holds.")
            case Action.NOTIFY:
                return gettext("None is allowed: people are told of the first one.")

    @property
    def proof(self) -> str:
        """Say how many bad outcomes a tripwire takes, and for what."""
        match self.rule.action:
            case Action.ROLLBACK:
                return gettext("One. It is proof by itself and rolls back at once.")
            case Action.HOLD:
                return gettext("One. It is proof by itself and holds at once.")
            case Action.NOTIFY:
                return gettext("One. People are told of it, and the guard does nothing.")

    @property
    def is_past(self) -> bool:
        """Return whether the figures are those of the moment of the rollback."""
        return self.is_latched and self.status is Status.ROLLBACK

    @property
    def order(self) -> int:
        """Return the card's place: what needs attention first, what has nothing to show last."""
        return len(WORST_FIRST) + self.compact + self.idle if self.compact else _urgency(self)

    @property
    def compact(self) -> bool:
        """Return whether one line says all there is: nothing to draw, and nothing that asks for attention."""
        return self.idle or (self.rule.tripwire and self.status in (Status.OK, Status.INSUFFICIENT))

    @property
    def idle(self) -> bool:
        """Return whether there is nothing to show but that nothing happened."""
        measured = self.verdict is not None and self.verdict.counts.total > 0
        has_no_data = self.status is Status.INSUFFICIENT and not self.rule.tripwire
        return has_no_data and not measured and not any(line.last for line in self.chart.lines)

    @property
    def attempts_for_chance(self) -> int:
        """Return of how many attempts at most one gets as far by chance; 0 where chance explains what was seen."""
        attempts = attempts_for_chance(self.verdict.evidence_log10) if self.verdict else 0
        return attempts if attempts >= LIKELY else 0

    @property
    def status(self) -> Status:
        return self.verdict.status if self.verdict else Status.INSUFFICIENT

    @property
    def description(self) -> str:
        """Describe the chart for readers who don't see it."""
        ends = [
            gettext("%(line)s ends at %(share)s", line=line.name, share=share(line.last.value))
            for line in self.chart.lines
            if line.last
        ]
        above = sum(len(line.breaches) for line in self.chart.lines)
        figures = [
            *ends,
            gettext("allowed is %(share)s", share=share(self.rule.threshold)),
            ngettext("%(count)s reading was above it", "%(count)s readings were above it", above, count=above),
        ]
        return gettext(
            "The bad rate over %(span)s, %(resolution)s: %(figures)s.",
            span=span(self.rule.window_seconds),
            resolution=self.scale.resolution,
            figures=", ".join(figures),
        )

    @property
    def attribution(self) -> Attribution | None:
        """Return the engine at fault; None where nothing is breached or it is unknown."""
        acts = self.status in (Status.HOLD, Status.ROLLBACK)
        found = self.verdict.attribution if self.verdict and acts else Attribution.UNKNOWN
        return None if found is Attribution.UNKNOWN else found

    @property
    def names(self) -> SideNames:
        """Return what the page calls both sides."""
        return localized_names(self.rule.own_migration)

    @property
    def fault(self) -> str:
        """Name the side at fault as the guard has it, whatever it does about it."""
        labels = {
            Attribution.CANDIDATE_ONLY: gettext("Only %(candidate)s", candidate=self.names.candidate),
            Attribution.SHARED: gettext("Both sides"),
            Attribution.CONTROL: self.names.control_title,
            Attribution.UNKNOWN: gettext("Can't tell"),
        }
        return labels[self.verdict.attribution if self.verdict else Attribution.UNKNOWN]


@dataclass(frozen=True, slots=True)
class ChartLayout:
    """The time that the charts of alerts show, their size, and the changes of the rollout that are marked on them."""

    scale: TimeScale
    frame: Frame = CARD
    changes: Sequence[tuple[datetime, str]] = ()


def alert_views(
    rules: Sequence[Rule],
    verdicts: Iterable[Verdict],
    minutes: Minutes,
    layout: ChartLayout,
    *,
    is_latched: bool = False,
) -> tuple[AlertView, ...]:
    """Return every alert with its history, what needs attention first.

    `minutes` are counted by the points of the layout's scale.
    """
    by_alert = {verdict.alert: verdict for verdict in verdicts}
    budgets, sources = error_budgets(rules), _by_source(minutes)
    views = [
        AlertView(
            rule=rule,
            verdict=by_alert.get(rule.name),
            chart=_history(rule, sources, layout),
            bar=_bar(by_alert.get(rule.name), budgets[rule.name]),
            scale=layout.scale,
            is_latched=is_latched,
        )
        for rule in rules
    ]
    return tuple(sorted(views, key=lambda view: view.order))


def worst(views: Sequence[AlertView]) -> AlertView | None:
    """Return the alert that needs attention most."""
    return views[0] if views else None


def _urgency(view: AlertView) -> int:
    return WORST_FIRST.index(view.status) if view.status in WORST_FIRST else len(WORST_FIRST)


def _bar(verdict: Verdict | None, budget: ErrorBudget) -> EvidenceBar:
    evidence = verdict.evidence_log10 if verdict else 0.0
    return evidence_bar(evidence, log10_hold=budget.hold_log10, log10_rollback=budget.rollback_log10)


def _by_source(minutes: Minutes) -> Sources:
    """Put what was counted together by its signal and its engine, so that each alert reads only its own."""
    found: dict[tuple[str, str], list[tuple[int, Counts]]] = {}
    for ((signal, engine, _role), minute), count in minutes:
        found.setdefault((signal, engine), []).append((minute, count))
    return found


def _history(rule: Rule, sources: Sources, layout: ChartLayout) -> Chart:
    """Return the bad rate over the alert's own window, as the guard would have read it.

    A step that is longer takes the window's place.
    """
    scale = layout.scale
    width = scale.points(timedelta(seconds=rule.window_seconds))
    series = [(name, _rates(counts, scale, width)) for name, counts in _series(rule, sources)]
    marks = [(at.timestamp() / 60, name) for at, name in layout.changes]
    return line_chart(series, start=scale.start, end=scale.end, limit=rule.threshold, marks=marks, frame=layout.frame)


def _series(rule: Rule, sources: Sources) -> list[tuple[str, dict[int, tuple[int, int]]]]:
    if rule.compare is Compare.DISCORDANT:
        return []
    names = (
        (rule.migration.candidate, rule.migration.control)
        if rule.metric.engine and rule.metric.control_twin
        else (rule.metric.engine or "",)
    )
    found: dict[str, dict[int, tuple[int, int]]] = {name: {} for name in names}
    for (signal, engine), counts in sources.items():
        name = engine if rule.metric.engine else ""
        is_ours = signal == rule.signal if rule.metric.engine else is_read_by(rule, signal, engine)
        if not is_ours or name not in found:
            continue
        takes_bad = not (rule.metric.control_apart and engine == rule.migration.control)
        for minute, count in counts:
            bad, total = found[name].get(minute, (0, 0))
            found[name][minute] = (bad + count.bad * takes_bad, total + count.total)
    return [(name or gettext("all"), counts) for name, counts in found.items()]


def _rates(counts: Mapping[int, tuple[int, int]], scale: TimeScale, width: int) -> list[Sample]:
    before = [counts.get(point, NOTHING) for point in range(scale.first - width, scale.first)]
    bad, total = (sum(column) for column in zip(*before, strict=True))
    samples = []
    for point in range(scale.first, scale.last + 1):
        came, left = counts.get(point, NOTHING), counts.get(point - width, NOTHING)
        bad, total = bad + came[0] - left[0], total + came[1] - left[1]
        # Who came before the window may turn bad in it; the first step may have begun before what is shown.
        rate = bad / max(bad, total) if bad or total else None
        samples.append(Sample(max(point * scale.step, scale.start), rate))
    return samples
