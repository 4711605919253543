"""How often a healthy phase is rolled back."""

from math import log, log10

import numpy as np

from alerts.analysis.rules import alphas
from tests.bench.guard import ours, peers, tables
from tests.bench.guard.draws import DAY_SECONDS, Traffic, ticks
from tests.bench.guard.ours import Alarm, SimulatedAlert
from tests.bench.guard.report import ALPHAS, PER_MINUTE, SHIPPED, Section, fired, one_alert, seldom, this_guard
from tests.bench.guard.sampling import Sampler

SHIPPED_PER_MINUTE = 4.0
PHASE_DAYS = 7.0
WANTED = {0.5: 0.001, 1.0: 0.01}


def of_all_alerts(sampler: Sampler) -> Section:
    """Report on the shipped alerts together, each with its share of alpha."""
    rules = [rule for rule in SHIPPED if rule.may_roll_back]
    shares = alphas(rules)
    watched = [SimulatedAlert(rule, (shares[rule.name],), SHIPPED_PER_MINUTE) for rule in rules]
    needed = -log10(max(shares.values()))
    rows, goals = [], []
    runs = sampler.rare.runs
    for factor, wanted in WANTED.items():
        alarms: list[Alarm] = sampler.rare.each(ours.false_alarm, watched, factor, PHASE_DAYS)
        peak = max(alarm.peak_log_e for alarm in alarms) / log(10)
        rows.append(
            [f"{factor:g}x, {runs:,} runs", tables.share(fired(alarms), runs), f"10^{peak:.2f}", f"10^{needed:.2f}"]
        )
        name = f"false rollback in 7 days, all alerts, true rates at {factor:g}x"
        goals.append(seldom(name, wanted, fired(alarms), runs))
    head = [
        "true rates, in thresholds",
        "phases rolled back falsely",
        "highest evidence of all runs",
        "evidence needed",
    ]
    names = ", ".join(f"{rule.name} ({rule.threshold_sentence} in {rule.window_seconds:.0f} s)" for rule in rules)
    text = f"All alerts of `alerts.yaml`, {SHIPPED_PER_MINUTE:g} outcomes a minute each, looked at after each: {names}."
    return Section(
        "False rollbacks in a 7-day phase, all alerts on", f"{text}\n\n{tables.table(head, rows)}", (*goals,)
    )


def beside_peers(sampler: Sampler) -> Section:
    """Report on one alert at 1% over 5 minutes, with every method on the same kind of traffic."""
    cells = [(per_minute, factor) for per_minute in (4.0, PER_MINUTE) for factor in (0.1, 0.5, 1.0)]
    columns = [_column(sampler, per_minute, factor) for per_minute, factor in cells]
    head = ["method", *(f"{per_minute:g}/min, {factor:g}x" for per_minute, factor in cells)]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    text = "One alert, threshold 1%, window 5 minutes. Peers look every 15 seconds, this guard after every request."
    return Section("False rollbacks in 7 days, beside other methods", f"{text}\n\n{tables.table(head, rows)}")


def _column(sampler: Sampler, per_minute: float, factor: float) -> dict[str, str]:
    column: dict[str, str] = {}
    traffic = Traffic(per_minute, factor * 0.01, PHASE_DAYS * DAY_SECONDS)
    for batches in zip(*sampler.batches(_peer_alarms, traffic), strict=True):
        column[batches[0][0]] = tables.share(sum(count for _, count in batches), sampler.runs)
    alarms = sampler.each(ours.false_alarm, [one_alert(per_minute)], factor, PHASE_DAYS)
    for index, alpha in enumerate(ALPHAS):
        column[this_guard(alpha)] = tables.share(fired(alarms, index), sampler.runs)
    return column


def _peer_alarms(rng: np.random.Generator, runs: int, traffic: Traffic) -> list[tuple[str, int]]:
    bad, total = ticks(rng, traffic, runs)
    return [(name, int((method(bad, total, 0.01) >= 0).sum())) for name, method in peers.METHODS.items()]
