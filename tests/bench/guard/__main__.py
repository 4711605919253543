"""`python -m tests.bench.guard`: the guard's false alarms and delays, simulated through the product's own code."""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.bench.guard import (
    accounts,
    alarms,
    clusters,
    cohorts,
    cost,
    delays,
    holds,
    small_services,
    stress,
    tables,
    users,
)
from tests.bench.guard.report import Goal, Section
from tests.bench.guard.sampling import Sampler

SECTIONS: tuple[Callable[[Sampler], Section], ...] = (
    delays.detection,
    delays.mischarged,
    alarms.of_all_alerts,
    alarms.beside_peers,
    holds.section,
    stress.retries,
    stress.broken_account,
    stress.attribution,
    clusters.section,
    accounts.section,
    users.section,
    cohorts.section,
    small_services.section,
    delays.safety,
)


def main() -> int:
    """Print the report; 0 when every goal was reached, else 1."""
    options = _options()
    began = time.monotonic()
    report = ["# Figures of the guard\n", _method(options)]
    sys.stdout.write("\n".join(report) + "\n")
    goals: list[Goal] = []
    with ProcessPoolExecutor(options.jobs) as executor:
        for section in _sections(Sampler(executor, options.runs, options.seed, options.rare_runs), options.only):
            goals += section.goals
            report.append(_written(section))
            sys.stdout.write(f"\n{report[-1]}")
            sys.stdout.flush()
    report.append(_verdict(goals, time.monotonic() - began))
    sys.stdout.write(f"\n{report[-1]}")
    if options.output:
        options.output.write_text("\n".join(report))
    return 0 if all(goal.met for goal in goals) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guard", description=__doc__)
    parser.add_argument("--runs", type=int, default=400, help="runs per cell (400)")
    parser.add_argument("--rare-runs", type=int, default=2000, help="where the goal is at most 1 % (2000)")
    parser.add_argument("--seed", type=int, default=2026, help="the same seed gives the same figures (2026)")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2); they change no figure")
    parser.add_argument("--only", nargs="*", default=[], help="modules of this package whose sections to draw (all)")
    parser.add_argument("--output", type=Path, help="also write the report to this file")
    return parser.parse_args()


def _sections(sampler: Sampler, names: list[str]) -> Iterator[Section]:
    if not names:
        yield cost.section()
        yield delays.failures()
    for section in _chosen(names):
        yield section(sampler)


def _chosen(names: list[str]) -> list[Callable[[Sampler], Section]]:
    """Return the sections of these modules, or all of them."""
    return [each for each in SECTIONS if not names or each.__module__.rpartition(".")[2] in names]


def _method(options: argparse.Namespace) -> str:
    machine = f"{os.cpu_count()} shared cores, Python {platform.python_version()}"
    rare_runs = max(options.runs, options.rare_runs)
    return (
        f"Printed by `make bench-guard`: {options.runs} runs per cell, {rare_runs:,} where at most one in a hundred is "
        f"wanted, seed {options.seed}, on {machine}. Arrivals are "
        "Poisson and outcomes independent unless a section says otherwise. Every figure of this guard comes from "
        "`alerts.analysis.sequential_test.step` and `alerts.analysis.verdicts.judge`, the code that serves; only the "
        "traffic is drawn. Brackets hold 95% confidence intervals.\n"
    )


def _written(section: Section) -> str:
    return f"## {section.title}\n\n{section.text}"


def _verdict(goals: list[Goal], seconds: float) -> str:
    rows = [[goal.name, goal.wanted, goal.seen, "yes" if goal.met else "NO"] for goal in goals]
    table = tables.table(["goal", "wanted", "seen", "reached"], rows)
    return f"## Goals\n\n{table}\nTook {seconds / 60:.1f} minutes.\n"


if __name__ == "__main__":
    sys.exit(main())
