"""Whose fault it is, and how many it hits: the faults of which issue and guide speak."""

from collections.abc import Mapping

from tests.bench.guard_scenarios.scenario import (
    Scenario,
    is_held_as_shared,
    is_rolled_back,
    is_running,
    is_stopped,
    names_legacy,
)
from tests.faults.faulty_server import EngineFault, Faults
from tests.faults.served_rollout import ServedRollout

TENANTS = 20
ACCOUNTS = ("u7", "u8")
"""One whom legacy serves at half of everyone, and one whom v2 does."""


def shared_outage(rollout: ServedRollout) -> int:
    """Let both engines fail every operation."""
    rollout.order(Faults(v2=EngineFault(), legacy=EngineFault()))
    return rollout.ask_any(150)


def legacy_only(rollout: ServedRollout) -> int:
    """Let legacy fail three in ten."""
    rollout.order(Faults(legacy=EngineFault(share=0.3)))
    return rollout.ask_any(300)


def v2_where_it_serves(rollout: ServedRollout) -> int:
    """Let what happens around the engine fail where v2 serves."""
    rollout.order(Faults(serving=("v2",)))
    return rollout.ask_any(150)


def one_account(rollout: ServedRollout) -> int:
    """Let v2 fail one account, whatever it does, among others."""
    account = rollout.rng.choice(ACCOUNTS)
    rollout.order(Faults(v2=EngineFault(accounts=(account,))))
    for _ in range(150):
        rollout.ask(account)
        rollout.ask_any(1)
    return 300


def retry_storm(rollout: ServedRollout) -> int:
    """Let one operation of two accounts fail, and come again and again under its key."""
    rollout.order(Faults(v2=EngineFault(accounts=ACCOUNTS)))
    for _ in range(75):
        for account in ACCOUNTS:
            rollout.ask(account, key=f"again-{account}")
            rollout.ask_any(1)
    return 300


def busy_tenants(rollout: ServedRollout) -> int:
    """Let v2 fail one in twenty operations of twenty accounts that never stop."""
    rollout.order(Faults(v2=EngineFault(share=0.05)))
    return rollout.ask_any(3_000, users=TENANTS)


def one_plan_refused(rollout: ServedRollout) -> int:
    """Let v2's limits of the only plan become 0."""
    rollout.order(Faults(v2=EngineFault(grants_nothing=True)))
    return rollout.ask_any(50)


FAULTS: Mapping[str, Scenario] = {
    "shared-outage": Scenario("both engines fail: held, and told as shared", shared_outage, is_held_as_shared),
    "legacy-alone": Scenario("legacy fails 30 %: never rolled back, and told", legacy_only, names_legacy),
    "v2-serving": Scenario("v2 fails only where it serves: rolled back", v2_where_it_serves, is_rolled_back),
    "one-account": Scenario("one broken account: moves nothing", one_account, is_running),
    "retry-storm": Scenario("a retry storm: moves nothing", retry_storm, is_running),
    "busy-tenants": Scenario("20 tenants, v2 fails 5 %: rolled back", busy_tenants, is_rolled_back),
    "one-plan": Scenario("v2 refuses one plan: stopped", one_plan_refused, is_stopped, plan="starter"),
}
