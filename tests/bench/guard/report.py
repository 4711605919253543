"""What a section of the report is, and the words that the sections share."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from alerts.analysis.rules import alphas
from alerts.definitions import parser
from tests.bench.guard import tables
from tests.bench.guard.ours import Alarm, SimulatedAlert

ONE_ALERT = "alerts: {api_error_rate: {threshold: 1%, window: 5m, severity: critical}}"
SHIPPED = parser.parse((Path(__file__).parents[3] / "alerts.yaml").read_text())
ALPHAS = (0.01, max(alphas(SHIPPED).values()), 0.001)
"""The whole phase's, an alert's share as shipped, and a tenth of the phase's."""
PER_MINUTE = 100.0


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach and what was seen."""

    name: str
    wanted: str
    seen: str
    met: bool


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report."""

    title: str
    text: str
    goals: tuple[Goal, ...] = ()


def at_most(name: str, wanted: float, values: Sequence[float], level: float) -> Goal:
    """Return the goal that the quantile `level` of `values` is at most `wanted`."""
    seen = tables.quantile(values, level)
    return Goal(name, f"<= {wanted:,.0f}", f"{seen:,.0f}", seen <= wanted)


def seldom(name: str, wanted: float, happened: int, runs: int) -> Goal:
    """Return the goal that at most a share `wanted` of the runs happened."""
    return Goal(name, f"<= {wanted:.1%}", tables.share(happened, runs), happened <= wanted * runs)


def fired(alarms: Sequence[Alarm], index: int = 0) -> int:
    """Count the runs that rolled back at the alpha of that index."""
    return sum(alarm.fired[index] for alarm in alarms)


def one_alert(per_minute: float) -> SimulatedAlert:
    """Return an alert that bounds a rate at 1% over 5 minutes."""
    return SimulatedAlert(parser.parse(ONE_ALERT)[0], ALPHAS, per_minute)


def shipped_alert(per_minute: float) -> SimulatedAlert:
    """Return an alert at the alpha that one of the shipped alerts has."""
    return SimulatedAlert(parser.parse(ONE_ALERT)[0], ALPHAS[1:2], per_minute)


def this_guard(alpha: float) -> str:
    """Return the label of a row or column of this guard."""
    return f"this guard, alpha {alpha * 100:.2g}%"


def times(bad_rate: float) -> str:
    """Return a bad rate as a multiple of the threshold of 1%."""
    return "outage" if bad_rate == 1 else f"{bad_rate / 0.01:.0f}x"
