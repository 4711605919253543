"""What one tick of one alert costs."""

from collections.abc import Callable
from datetime import timedelta
from time import process_time
from timeit import repeat

from alerts.analysis import bursts
from alerts.analysis.bursts import Bursts
from alerts.analysis.evidence import Evidence
from alerts.analysis.judge_inputs import JudgeInputs
from alerts.analysis.rules import ErrorBudget, rule_test
from alerts.analysis.sequential_test import step
from alerts.analysis.verdicts import judge
from alerts.definitions import parser
from control_plane.signal_counts import Counts
from tests.bench.guard import tables
from tests.bench.guard.ours import START
from tests.bench.guard.report import ONE_ALERT, Goal, Section

LOOPS, REPEATS = 1_000, 40
BUDGET = ErrorBudget(rollback=0.002, hold=0.02)


def section() -> Section:
    """Report the best of several runs, in processor time, as other work on the machine can only make it slower."""
    rule = parser.parse(ONE_ALERT)[0]
    bet = rule_test(rule)
    evidence = step(bet, Evidence(), Counts(1, 50), at=START)
    inputs = JudgeInputs(exposed=True, window=Counts(1, 50))
    verdict = judge(rule, evidence, inputs, budget=BUDGET, previous=None, now=START)
    counts, later, next_window = Counts(0, 3), START + timedelta(seconds=1), START + timedelta(seconds=300)

    def weigh() -> None:
        bursts.weigh(rule, evidence, Bursts(), bursts.Increment(counts, counts), at=later, learning=False)

    def open_window() -> None:
        bursts.weigh(rule, evidence, Bursts(), bursts.Increment(counts, counts), at=next_window, learning=False)

    def conclude() -> None:
        judge(rule, evidence, inputs, budget=BUDGET, previous=verdict, now=later)

    def weigh_bursts() -> None:
        bursts.weigh(rule, evidence, Bursts(size=3), bursts.Increment(counts, counts), at=later, learning=False)

    costs = {
        "evidence, new counts": _microseconds(weigh),
        "evidence, new counts in a new window": _microseconds(open_window),
        "evidence, new counts, bursts of 3": _microseconds(weigh_bursts),
        "evidence, no new counts": _microseconds(lambda: step(bet, evidence, Counts(), at=later)),
        "verdict": _microseconds(conclude),
        "reason, when it is read": _microseconds(lambda: verdict.reason),
    }
    rows = [[name, f"{cost:.1f}"] for name, cost in costs.items()]
    seen = costs["evidence, new counts"] + costs["verdict"]
    goal = Goal("evidence and verdict per alert and tick", "<= 10 us", f"{seen:.1f} us", seen <= 10)
    return Section("Cost", tables.table(["per alert and tick", "microseconds"], rows), (goal,))


def _microseconds(work: Callable[[], object]) -> float:
    return min(repeat(work, number=LOOPS, repeat=REPEATS, timer=process_time)) / LOOPS * 1e6
