"""What breaks other guards: outcomes that depend on each other, and outages that are not v2's fault."""

from functools import partial
from math import inf

from alerts.analysis.quantities import duration_text
from alerts.definitions import parser
from control_plane.platform.observability.account_failures import WINDOW_SECONDS
from tests.bench.guard import ours, tables
from tests.bench.guard.ours import SimulatedAlert, TrafficSpan
from tests.bench.guard.report import ALPHAS, PER_MINUTE, Goal, Section, fired, one_alert, seldom, this_guard, times
from tests.bench.guard.sampling import Sampler

TWINNED = "alerts: {credit_consumption_failure: {threshold: 1%, window: 5m, severity: critical}}"
RETRIES = 5.0
ACCOUNT_WINDOWS_SECONDS = sorted({1, 300, 3600, 86_400, WINDOW_SECONDS})
BEFORE, AFTER = TrafficSpan(1000, 0.001, 0.001), TrafficSpan(1000, 0.001, 0.001)
OUTAGES = {
    "both fail every request": TrafficSpan(100, 1.0, 1.0, together=True),
    "both fail the same half of the requests": TrafficSpan(100, 0.5, 0.5, together=True),
    "each fails half of them by itself": TrafficSpan(100, 0.5, 0.5),
}


def retries(sampler: Sampler) -> Section:
    """Report on a retry storm, counted per attempt and per operation."""
    rows, goals = [], []
    for factor in (0.1, 0.5, 1.0):
        attempts = sampler.each(ours.retried, one_alert(20.0), factor, RETRIES)
        operations = sampler.rare.each(ours.retried, one_alert(20.0), factor, 0.0)
        rows.append([f"{factor:g}x", *(tables.share(fired(alarms), len(alarms)) for alarms in (attempts, operations))])
        goals.append(seldom(f"false rollback under retries, {factor:g}x", 0.01, fired(operations), len(operations)))
    head = ["true rate", "every attempt counted", "once per idempotency key, as the product counts"]
    text = "A day at 20 operations a minute, alpha 1%; a failing one is attempted about five times more."
    return Section("Retry storms", f"{text}\n\n{tables.table(head, rows)}", tuple(goals))


def broken_account(sampler: Sampler) -> Section:
    """Report on one account that fails all the time, in traffic that is else healthy."""
    rows, goals = [], []
    for per_minute in (4.0, 20.0, PER_MINUTE):
        found = {
            seconds: (sampler.rare if seconds == WINDOW_SECONDS else sampler).each(
                ours.broken_account, one_alert(per_minute), seconds
            )
            for seconds in ACCOUNT_WINDOWS_SECONDS
        }
        rows.append([f"{per_minute:g}/min", *(tables.share(fired(alarms), len(alarms)) for alarms in found.values())])
        name = f"false rollback by one broken account, {per_minute:g}/min"
        goals.append(seldom(name, 0.01, fired(found[WINDOW_SECONDS]), sampler.rare.runs))
    text = (
        "A day at a tenth of the threshold, but for one account that fails once a second; alpha 1%, window 5 minutes. "
        f"The product counts the failures of an account once in {duration_text(WINDOW_SECONDS)}."
    )
    head = ["healthy traffic", *(f"counted once in {duration_text(seconds)}" for seconds in ACCOUNT_WINDOWS_SECONDS)]
    return Section("One broken account", f"{text}\n\n{tables.table(head, rows)}", tuple(goals))


def attribution(sampler: Sampler) -> Section:
    """Outages of both engines, and of v2 alone, judged with legacy's answers to the same requests."""
    watched = SimulatedAlert(parser.parse(TWINNED)[0], ALPHAS, PER_MINUTE)
    rows: list[list[str]] = []
    goals: list[Goal] = []
    for name, outage in OUTAGES.items():
        for when, spans in (("after 1,000 requests", [BEFORE, outage, AFTER]), ("at once", [outage, AFTER])):
            runs = sampler.rare.each(ours.compared, watched, spans)
            counts = [sum(run[index] < inf for run in runs) for index in range(len(ALPHAS))]
            rows.append([f"{name}, {when}", *(tables.share(count, len(runs)) for count in counts)])
            if spans[0] is BEFORE:
                goals.append(seldom(f"shared outage rolled back: {name}", 0.01, counts[0], len(runs)))
    shared = tables.table(["a minute in which", *map(this_guard, ALPHAS)], rows)
    text = f"{PER_MINUTE:g} requests a minute, all answered by both engines; healthy engines fail 0.1%."
    return Section(
        "Whose fault it is",
        f"{text} Rolled back in the outage or in 10 minutes after it:\n\n{shared}\n"
        f"A fault of v2 alone after 1,000 requests, with and without asking legacy, requests until the rollback:\n\n"
        f"{_v2_only(sampler, watched)}",
        tuple(goals),
    )


def _v2_only(sampler: Sampler, watched: SimulatedAlert) -> str:
    rows = []
    for bad_rate in (0.02, 0.05, 0.2, 1.0):
        spans = [BEFORE, TrafficSpan(15_000, bad_rate, 0.001)]
        for name, attributed in (("asked", True), ("not asked", False)):
            runs = sampler.each(partial(ours.compared, attributed=attributed), watched, spans)
            delays = [[run[index] for run in runs] for index in range(len(ALPHAS))]
            rows.append([f"{times(bad_rate)}, {name}", *map(tables.median_and_p90, delays)])
    return tables.table(["fault", *map(this_guard, ALPHAS)], rows)
