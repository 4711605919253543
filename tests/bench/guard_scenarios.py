"""`python -m tests.bench.guard_scenarios`: faults on the running product over HTTP, with the shipped alerts.yaml.

Each run serves an installation of its own on a port, at half of everyone, breaks an engine as a bad release or an
outage would, and lets users consume; the guard looks ten times a second. What it did is held against what is right.
"""

import argparse
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import requests
from flask import Flask
from werkzeug.serving import make_server

from alerts.analysis.verdicts import Status
from control_plane.core.phases import Position, RolloutState
from control_plane.platform.settings import Settings
from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import Limits
from credits_engine.engines.plans import CATALOGUE, Catalogue
from credits_engine.operations import account_books
from tests.alerts.drill.watching import watching
from tests.applications import application
from tests.faults.product import USERS, Fails, Product, always, failing
from tests.installation import Installation
from tests.processes import free_port

RUNS = 20
HALF = Position(3, 2)
HEALTHY = 100
SETTLE_SECONDS = 0.5
TENANTS = 20
ACCOUNT = "u7"


class Session:
    """Callers of the served product, in place of a test client."""

    def __init__(self, url: str) -> None:
        self._url, self._session = url, requests.Session()

    def post(self, path: str, **options: Any) -> requests.Response:
        """Post over HTTP."""
        return self._session.post(f"{self._url}{path}", timeout=10, **options)


class ServedProduct(Product):
    """A product that is served on a port, whose users come in random order, and whose guard looks by itself."""

    def __init__(self, app: Flask, patch: pytest.MonkeyPatch, token: str, url: str, *, plan: str, seed: int) -> None:
        super().__init__(app, patch, token, HALF, plan=plan)
        self.client = Session(url)  # type: ignore[assignment]  # has the one method that is called
        self.rng = random.Random(seed)
        self.statuses: Counter[int] = Counter()

    def watch(self) -> None:
        """Let the guard look by itself."""

    def ask(self, user: str, *, key: str | None = None, kind: str = "analysis", amount: int = 1) -> int:
        """Consume over HTTP once, and note the status of the answer."""
        status = super().ask(user, key=key, kind=kind, amount=amount)
        self.statuses[status] += 1
        return status

    def ask_any(self, operations: int, users: int = USERS) -> int:
        """Consume for users at random, until a rollback; after how many operations the guard acted first."""
        acted = operations
        for number in range(1, operations + 1):
            self.ask(f"u{self.rng.randrange(users)}")
            if number % 5 == 0 and (state := self.rollout.state) is not RolloutState.RUNNING:
                acted = min(acted, number)
                if state is RolloutState.ROLLED_BACK:
                    break
        return acted


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, how it is brought about, and what is right."""

    description: str
    run: Callable[[ServedProduct], int]
    """Break it and let users come; how many operations there were."""
    is_right: Callable[[ServedProduct], bool]
    plan: str = "plus"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run."""

    right: bool
    operations: int
    state: str
    reason: str


def shared_outage(product: ServedProduct) -> int:
    """Let both engines fail the same requests."""
    product.engines(v2=failing(v2.decide, always), legacy_engine=failing(legacy.decide, always))
    return product.ask_any(150)


def legacy_only(product: ServedProduct) -> int:
    """Let legacy fail three in ten."""
    product.engines(legacy_engine=failing(legacy.decide, one_of(product.rng, 0.3)))
    return product.ask_any(300)


def v2_where_it_serves(product: ServedProduct) -> int:
    """Let what happens around the engine fail where v2 serves."""
    product.crash(lambda engine: engine == "v2")
    return product.ask_any(150)


def one_account(product: ServedProduct) -> int:
    """Let v2 and what serves fail one account, whatever it does, among others."""
    product.engines(v2=failing(v2.decide, lambda request: request.user_id == ACCOUNT))
    for _ in range(150):
        product.ask(ACCOUNT)
        product.ask_any(1)
    return 300


def retry_storm(product: ServedProduct) -> int:
    """Let one operation of two accounts fail, and come again and again under its key."""
    product.engines(v2=failing(v2.decide, lambda request: request.user_id in {ACCOUNT, "u8"}))
    for _ in range(75):
        for account in (ACCOUNT, "u8"):
            product.ask(account, key=f"again-{account}")
            product.ask_any(1)
    return 300


def busy_tenants(product: ServedProduct) -> int:
    """Let v2 fail one in twenty operations of twenty accounts that never stop."""
    product.engines(v2=failing(v2.decide, one_of(product.rng, 0.05)))
    return product.ask_any(3_000, users=TENANTS)


def one_plan_refused(product: ServedProduct) -> int:
    """Let v2's limit of a plan become 0."""
    plans = [replace(plan, v2=Limits(0, 10)) if plan.name == product_plan else plan for plan in CATALOGUE]
    product.patch.setattr(account_books, "CATALOGUE", Catalogue(plans))
    return product.ask_any(50)


def one_of(rng: random.Random, share: float) -> Fails:
    """Fail each request with this chance, whoever asks."""
    return lambda _request: rng.random() < share


product_plan = "starter"


def held(product: ServedProduct) -> bool:
    return product.rollout.held_by_guard


def runs_on(product: ServedProduct) -> bool:
    return product.rollout.state is RolloutState.RUNNING


def stopped(product: ServedProduct) -> bool:
    return product.rollout.state is not RolloutState.RUNNING


def rolled_back(product: ServedProduct) -> bool:
    return product.rollout.state is RolloutState.ROLLED_BACK


def names_legacy(product: ServedProduct) -> bool:
    """Return whether nobody was rolled back, and some alert says that it is legacy that fails."""
    told = any("legacy" in each.cause and each.status is not Status.OK for each in product.verdicts())
    return not rolled_back(product) and told


SCENARIOS: Mapping[str, Scenario] = {
    "shared-outage": Scenario("both engines fail: held", shared_outage, held),
    "legacy-alone": Scenario("legacy fails 30 %: never rolled back, and told", legacy_only, names_legacy),
    "v2-serving": Scenario("v2 fails only where it serves: rolled back", v2_where_it_serves, rolled_back),
    "one-account": Scenario("one broken account: moves nothing", one_account, runs_on),
    "retry-storm": Scenario("a retry storm: moves nothing", retry_storm, runs_on),
    "busy-tenants": Scenario("20 tenants, v2 fails 5 %: rolled back", busy_tenants, rolled_back),
    "one-plan": Scenario("v2 refuses one plan: stopped", one_plan_refused, stopped, plan=product_plan),
}


def run(name: str, seed: int) -> Outcome:
    """Serve an installation, break it, and say what the guard did."""
    scenario = SCENARIOS[name]
    with _installation(scenario.plan, seed) as product:
        product.ask_any(HEALTHY)
        time.sleep(SETTLE_SECONDS)
        if not runs_on(product):
            return Outcome(right=False, operations=0, state="healthy traffic was stopped", reason="")
        operations = scenario.run(product)
        time.sleep(SETTLE_SECONDS)
        rollout = product.rollout
        return Outcome(scenario.is_right(product), operations, rollout.state.value, rollout.state_reason or "")


@contextmanager
def _installation(plan: str, seed: int) -> Iterator[ServedProduct]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        place = Path(folder)
        settings = Settings(
            database_url=f"sqlite:///{place / 'rollout.db'}", instance_dir=place, secret_key="-", background=False
        )
        with application(settings) as app, app.app_context():
            server = make_server("127.0.0.1", free_port(), app, threaded=True)
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            try:
                url, token = f"http://127.0.0.1:{server.port}", Installation(app).token("service")
                product = ServedProduct(app, patch, token, url, plan=plan, seed=seed)
                Product.watch(product)
                with watching(app):
                    yield product
            finally:
                server.shutdown()
                serving.join()


def main() -> int:
    """Print what the guard did in every run; 0 when all of it was right, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.guard_scenarios", description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS, help=f"runs of each ({RUNS})")
    parser.add_argument("--jobs", type=int, default=2, help="processes (2)")
    parser.add_argument("--only", nargs="*", default=list(SCENARIOS), choices=list(SCENARIOS), help="which (all)")
    options = parser.parse_args()
    all_right = True
    with ProcessPoolExecutor(options.jobs) as executor:
        for name in options.only:
            outcomes = list(executor.map(run, [name] * options.runs, range(options.runs)))
            right = sum(each.right for each in outcomes)
            all_right = all_right and right == len(outcomes)
            states = ", ".join(f"{state} {number}" for state, number in Counter(e.state for e in outcomes).items())
            middle = median(each.operations for each in outcomes)
            most = max(each.operations for each in outcomes)
            line = f"{SCENARIOS[name].description:52} {right} of {len(outcomes)} right; {states}"
            sys.stdout.write(f"{line}; after {middle:g} operations, {most} at most\n")
            for wrong in (each for each in outcomes if not each.right):
                sys.stdout.write(f"  WRONG: {wrong.state}: {wrong.reason}\n")
            sys.stdout.flush()
    return 0 if all_right else 1


if __name__ == "__main__":
    sys.exit(main())
