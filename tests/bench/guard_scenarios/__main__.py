"""`python -m tests.bench.guard_scenarios`: faults on a real `rollout serve` over HTTP, with the shipped alerts.yaml.

Each run serves an installation of its own, at half of everyone, breaks an engine as a bad release or an outage would,
and lets users consume 50 times a second. What the guard did is held against what is right. Prints a line of JSON a run.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from statistics import median

from tests import postgres
from tests.bench.guard_scenarios.runs import SCENARIOS, Outcome, run

RUNS = 20


def main() -> int:
    """Print what the guard did in every run; 0 when all of it was right, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guard_scenarios", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each ({RUNS})")
    parser.add_argument("--jobs", type=int, default=2, help="servers at once (2)")
    parser.add_argument("--only", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS), help="which (all)")
    parser.add_argument("--postgresql", action="store_true", help="on PostgreSQL, with two workers")
    options = parser.parse_args()
    if not options.postgresql:
        return _all(options, "")
    with postgres.running() as server:
        return _all(options, server)


def _all(options: argparse.Namespace, server: str) -> int:
    all_right = True
    with ProcessPoolExecutor(options.jobs) as executor:
        for name in options.only:
            outcomes = list(executor.map(partial(run, name, server=server), range(options.runs)))
            all_right = all_right and all(each.right for each in outcomes)
            _print(name, outcomes)
    return 0 if all_right else 1


def _print(name: str, outcomes: Sequence[Outcome]) -> None:
    for each in outcomes:
        sys.stdout.write(json.dumps(asdict(each)) + "\n")
    acted = [each.operations for each in outcomes]
    right = sum(each.right for each in outcomes)
    states = ", ".join(f"{state} {number}" for state, number in Counter(each.state for each in outcomes).items())
    line = f"{SCENARIOS[name].description:60} {right} of {len(outcomes)} right; {states}"
    sys.stderr.write(f"{line}; after {median(acted):g} operations, {max(acted)} at most\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
