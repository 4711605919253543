"""Samples to the geometry of SVG drawings: positions and paths, no colours and no markup. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import floor, log10

from dashboards.language import gettext

LEFT, RIGHT, TOP, BOTTOM = 44.0, 10.0, 10.0, 20.0
POINTS_MAXIMUM = 120
MINUTES_OF_DAY = 24 * 60
TICKS = 3
MARK_GAP = 12.0
"""Lines nearer to each other than this, in SVG units, can't be told apart."""
LABEL_WIDTH, LABEL_HEIGHT = 110.0, 14.0
"""The place that the words on the limit take, above it."""
HEADROOM = 1.15
ALL = 1.0
"""No share is above it, so no scale of shares goes on beyond."""
SCALE_MINIMUM = 1e-6
"""Where nothing is allowed and nothing happened the scale still needs a height."""
EVIDENCE_WIDTH, EVIDENCE_OVERSHOOT = 320.0, 1.2
EVIDENCE_ALONE = 1.0
"""Half of the scale, as a power of ten, for an alert that only notifies."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a drawing in SVG units, near to the pixels it will have so that its text keeps its size."""

    width: float
    height: float

    @property
    def right(self) -> float:
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM


CARD, WIDE = Frame(340.0, 116.0), Frame(760.0, 240.0)


@dataclass(frozen=True, slots=True)
class Sample:
    """A value at a time `at` (any unit, growing); None where nothing was measured."""

    at: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Dot:
    """A drawn sample."""

    x: float
    y: float
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """One series as an SVG path, interrupted where nothing was measured."""

    name: str
    path: str
    dots: tuple[Dot, ...]
    breaches: tuple[Dot, ...]
    """The samples above the limit."""

    @property
    def last(self) -> Dot | None:
        return self.dots[-1] if self.dots else None


@dataclass(frozen=True, slots=True)
class Tick:
    """A place on an axis and the value it stands for."""

    position: float
    value: float


@dataclass(frozen=True, slots=True)
class Mark:
    """Events that lie so close together that they are one vertical line: from when to when, and what they were."""

    position: float
    first: float
    last: float
    names: tuple[str, ...]

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def title(self) -> str:
        """Name the events, each kind once."""
        kinds = list(dict.fromkeys(self.names))
        counted = [
            name
            if self.names.count(name) == 1
            else gettext("%(event)s %(count)s times", event=name, count=self.names.count(name))
            for name in kinds
        ]
        return ", ".join(counted)


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything a template needs to draw lines over time against a limit."""

    lines: tuple[Line, ...]
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    limit_y: float | None
    frame: Frame
    label_at_start: bool = False
    """Whether the words on the limit stand at its start, because more would cross them at its end."""
    left: float = LEFT
    top: float = TOP

    @property
    def over_days(self) -> bool:
        """Return whether a time of day alone would not tell when something was; `at` is in minutes."""
        return self.x_ticks[-1].value - self.x_ticks[0].value >= MINUTES_OF_DAY

    @property
    def empty(self) -> bool:
        return not any(line.dots for line in self.lines)


@dataclass(frozen=True, slots=True)
class EvidenceBar:
    """Evidence on a scale from 1 (nothing shown) past the holding and the rollback mark, in SVG units."""

    filled: float
    hold: float | None
    """None where the alert never holds."""
    rollback: float | None
    """None where the alert never rolls back."""
    log10_hold: float | None
    log10_rollback: float | None
    width: float = EVIDENCE_WIDTH


def line_chart(
    series: Iterable[tuple[str, Sequence[Sample]]],
    *,
    start: float,
    end: float,
    limit: float | None = None,
    marks: Iterable[tuple[float, str]] = (),
    frame: Frame = CARD,
) -> Chart:
    """Draw lines between `start` and `end` on a scale from zero that always shows `limit`.

    `marks` are events by their time and name; each becomes a vertical line, those close together one line.
    """
    thinned = [(name, _downsample([s for s in samples if start <= s.at <= end])) for name, samples in series]
    values = [sample.value for _, samples in thinned for sample in samples if sample.value is not None]
    highest = max([*values, limit or 0.0, SCALE_MINIMUM])
    ticks = nice_ticks(max(highest, min(highest * HEADROOM, ALL)))

    def x(at: float) -> float:
        return _place((at - start) / ((end - start) or 1.0), LEFT, frame.right)

    def y(value: float) -> float:
        return _place(value / ticks[-1], frame.bottom, TOP)

    lines = tuple(
        _line(name, [(x(s.at), None if s.value is None else y(s.value), s) for s in samples], limit)
        for name, samples in thinned
    )
    grouped = _grouped([(x(at), at, name) for at, name in sorted(marks) if start <= at <= end])
    limit_y = None if limit is None else y(limit)
    return Chart(
        lines=lines,
        y_ticks=tuple(Tick(y(value), value) for value in ticks),
        x_ticks=tuple(Tick(x(at), at) for at in (start, (start + end) / 2, end)),
        marks=grouped,
        limit_y=limit_y,
        frame=frame,
        label_at_start=limit_y is not None
        and _crossings(lines, grouped, LEFT, limit_y) < _crossings(lines, grouped, frame.right - LABEL_WIDTH, limit_y),
    )


def evidence_bar(log10_evidence: float, *, log10_hold: float | None, log10_rollback: float | None) -> EvidenceBar:
    """Lay out the evidence bar. Evidence below 1 speaks for the release and leaves the bar empty."""
    full = (log10_rollback or 2 * (log10_hold or EVIDENCE_ALONE)) * EVIDENCE_OVERSHOOT

    def place(power: float) -> float:
        return _place(min(max(power / full, 0.0), 1.0), 0.0, EVIDENCE_WIDTH)

    return EvidenceBar(
        filled=place(log10_evidence),
        hold=None if log10_hold is None else place(log10_hold),
        rollback=None if log10_rollback is None else place(log10_rollback),
        log10_hold=log10_hold,
        log10_rollback=log10_rollback,
    )


def nice_ticks(highest: float, count: int = TICKS) -> tuple[float, ...]:
    """Return about `count` even steps of 1, 2 or 5 times a power of ten, from zero to at least `highest`."""
    raw = highest / count
    power = 10.0 ** floor(log10(raw))
    # With a hair of tolerance for what floats make of tenths.
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
    steps = max(1, -floor(-highest / step + 1e-9))
    return tuple(float(f"{index * step:.6g}") for index in range(steps + 1))


def _crossings(lines: Iterable[Line], marks: Iterable[Mark], left: float, limit_y: float) -> int:
    """Count what would cross words of LABEL_WIDTH that begin at `left` and stand on the limit."""
    right, top = left + LABEL_WIDTH, limit_y - LABEL_HEIGHT
    pieces = [pair for line in lines for pair in pairwise(line.dots)]
    crossings = [
        (one, two)
        for one, two in pieces
        if one.x <= right and two.x >= left and min(one.y, two.y) < limit_y and max(one.y, two.y) > top
    ]
    return len(crossings) + sum(left <= mark.position <= right for mark in marks)


def _grouped(placed: Sequence[tuple[float, float, str]]) -> tuple[Mark, ...]:
    """Return a mark for each group of events that lie within MARK_GAP of the one before."""
    groups: list[list[tuple[float, float, str]]] = []
    for each in placed:
        if groups and each[0] - groups[-1][-1][0] < MARK_GAP:
            groups[-1].append(each)
        else:
            groups.append([each])
    return tuple(
        Mark(round((group[0][0] + group[-1][0]) / 2, 1), group[0][1], group[-1][1], tuple(name for _, _, name in group))
        for group in groups
    )


def _downsample(samples: Sequence[Sample]) -> list[Sample]:
    """Return at most POINTS_MAXIMUM samples; of each run that is merged the highest stays, so that no peak is lost."""
    size = -(-len(samples) // POINTS_MAXIMUM)
    runs = [samples[first : first + size] for first in range(0, len(samples), size or 1)]
    return [max(run, key=lambda sample: -1.0 if sample.value is None else sample.value) for run in runs]


def _line(name: str, placed: list[tuple[float, float | None, Sample]], limit: float | None) -> Line:
    commands, dots, drawing = [], [], False
    for x, y, sample in placed:
        if y is None or sample.value is None:
            # The path is lifted: a gap in the measurements must not look like a measured line.
            drawing = False
            continue
        commands.append(f"{'L' if drawing else 'M'}{x:g} {y:g}")
        dots.append(Dot(x, y, sample.at, sample.value))
        drawing = True
    breaches = tuple(dot for dot in dots if limit is not None and dot.value > limit)
    return Line(name, " ".join(commands), tuple(dots), breaches)


def _place(ratio: float, low: float, high: float) -> float:
    return round(low + ratio * (high - low), 1)
