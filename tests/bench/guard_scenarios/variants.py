"""The same faults in awkward company: partial, slow, on and off, while people, files and processes change."""

import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from uuid import uuid4

from control_plane.core.phases import Position
from tests.bench.guard_scenarios.scenario import (
    Scenario,
    is_held,
    is_held_as_shared,
    is_not_rolled_back,
    is_rolled_back,
    is_running,
)
from tests.faults.faulty_server import NONE, EngineFault, Faults
from tests.faults.served_rollout import HALF, ServedRollout

OTHER_FLAG = "ENABLE_TIERED_PRICES"
OTHER_ALERTS = f"""
migrations:
  {OTHER_FLAG}: {{control: list, candidate: tiered, prefix: price}}
"""
OTHER_RULE = "\n  price_failure: {threshold: 1%, window: 5m, severity: critical}\n"
EVERYBODY = Position(3, 3)
FAILING = ("u8", "u7")
LARGE = 20
MEMBERSHIP_SECONDS = 12
"""A membership counts ten seconds later."""


def status_of_v2(rollout: ServedRollout) -> int:
    """Let every reading of the credits of whoever has v2 fail, while their operations go well."""
    rollout.order(Faults(status=("v2",)))
    for number in range(150):
        rollout.read_status(f"u{rollout.rng.randrange(400)}")
        if number % 2:
            rollout.ask_any(1)
    return 150


def slow_v2(rollout: ServedRollout) -> int:
    """Let v2 take 60 ms longer, and answer well."""
    rollout.order(Faults(v2=EngineFault(slow_seconds=0.06)))
    return rollout.ask_any(150)


def one_kind(rollout: ServedRollout) -> int:
    """Let v2 fail for one kind of credits, one operation in ten."""
    rollout.order(Faults(v2=EngineFault(kind="roast")))
    for _ in range(40):
        rollout.ask_any(9)
        rollout.ask_any(1, kind="roast")
        if rollout.state == "rolled_back":
            break
    return 400


def large_amounts(rollout: ServedRollout) -> int:
    """Let v2 fail for large amounts, one operation in ten."""
    rollout.order(Faults(v2=EngineFault(amount_from=LARGE)))
    for _ in range(40):
        rollout.ask_any(9)
        rollout.ask_any(1, amount=LARGE)
        if rollout.state == "rolled_back":
            break
    return 400


def on_and_off(rollout: ServedRollout, *, shared: bool) -> int:
    """Let a fifth fail for 30 seconds out of 60, for two minutes."""
    fault = EngineFault(share=1.0 if shared else 0.2, toggle_seconds=30)
    rollout.order(Faults(v2=fault, legacy=fault if shared else None))
    return rollout.ask_any(2_000, per_second=17)


def at_the_advance(rollout: ServedRollout) -> int:
    """Let what v2 serves fail from the moment of an advance on, after a healthy step."""
    rollout.installation.move(HALF.phase, HALF.step - 1)
    rollout.ask_any(100)
    rollout.order(Faults(serving=("v2",)))
    rollout.installation.move(HALF.phase, HALF.step)
    return rollout.ask_any(150)


def erased(rollout: ServedRollout) -> int:
    """Let one account fail, and be erased in the middle."""
    rollout.order(Faults(v2=EngineFault(accounts=FAILING[:1])))
    for number in range(100):
        rollout.ask(FAILING[0])
        rollout.ask_any(1)
        if number == 50:
            body = {"userId": FAILING[0], "reason": "For a test."}
            assert rollout.post("/api/admin/erasures", body).status_code == 200
    return 200


def merged(rollout: ServedRollout) -> int:
    """Let two accounts fail that become members of one organisation in the middle."""
    rollout.order(Faults(v2=EngineFault(accounts=(*FAILING, "u9"))))
    for number in range(100):
        rollout.ask(FAILING[number % 2])
        rollout.ask_any(1)
        if number == 50:
            for user in FAILING:
                body = {"userId": user, "accountId": "u9", "reason": "For a test."}
                assert rollout.post("/api/admin/credits/members", body).status_code == 200
            rollout.settle(MEMBERSHIP_SECONDS)
    return 200


def leader_killed(rollout: ServedRollout) -> int:
    """Let v2 fail a tenth while the process that leads is killed twice."""
    rollout.order(Faults(v2=EngineFault(share=0.1)))
    acted = rollout.ask_any(20)
    for _ in range(2):
        for number in rollout.served.workers:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        acted += rollout.ask_any(60, per_second=20)
    return acted + rollout.ask_any(150)


def alerts_changed(rollout: ServedRollout, change: Callable[[str], str]) -> int:
    """Let somebody change alerts.yaml as soon as v2 begins to fail."""
    rollout.order(Faults(v2=EngineFault(share=0.5)))
    rollout.ask_any(2)
    path = rollout.folder / "alerts.yaml"
    path.write_text(change(path.read_text()))
    return rollout.ask_any(300)


def _replaced(text: str) -> str:
    return text.replace("threshold: 1%", "threshold: 2%")


def _broken(text: str) -> str:
    return text.replace("threshold: 1%", "threshold: one per cent")


def _emptied(_text: str) -> str:
    return ""


def database_away(rollout: ServedRollout) -> int:
    """Let the database refuse every operation, then answer again."""
    rollout.order(Faults(database_away=True))
    return rollout.ask_any(150)


def v2_after(rollout: ServedRollout, earlier: Faults) -> int:
    """Let v2 fail after something else did, and went well again."""
    rollout.order(earlier)
    rollout.ask_any(50)
    rollout.order(NONE)
    rollout.ask_any(50)
    rollout.order(Faults(v2=EngineFault(share=0.3)))
    return rollout.ask_any(400)


def two_flags(rollout: ServedRollout, *, ours: bool, theirs: bool) -> int:
    """Let one flag's candidate fail, or the other's, or both's, while both are served."""
    plan_other(rollout)
    rollout.settle(2)
    if ours:
        rollout.order(Faults(v2=EngineFault(share=0.5)))
    for _ in range(40):
        report(rollout, failing=theirs)
        rollout.ask_any(5)
    rollout.settle()
    return 200


def plan_other(rollout: ServedRollout) -> None:
    """Begin a rollout of the other flag, to half of everybody."""
    rollout.installation.plan(OTHER_FLAG)
    rollout.installation.move(HALF.phase, HALF.step, flag=OTHER_FLAG)


def report(rollout: ServedRollout, *, failing: bool) -> None:
    """Report some results of the other flag's pair, of which the candidate fails half if it is broken."""
    results = []
    for number in range(5):
        failed = failing and number % 2 == 0
        candidate = {"outcome": "failed" if failed else "answered", "durationUs": 100}
        account = f"{rollout.rng.randrange(1000):016x}"
        control = {"outcome": "answered", "durationUs": 100}
        equal = {} if failed else {"equal": True}
        results.append({"served": "candidate", "account": account, "control": control, "candidate": candidate} | equal)
    answer = rollout.post(
        f"/api/experiments/{OTHER_FLAG}/results", {"batchId": uuid4().hex, "results": results}, rollout.service
    )
    assert answer.status_code == 202, answer.text


def states_are(ours: str, theirs: str, rollout: ServedRollout) -> bool:
    """Return whether both flags stand as they should."""
    found = rollout.rollout["state"], rollout.get(f"/api/rollouts/{OTHER_FLAG}")["state"]
    return found == (ours, theirs)


def is_held_by_slowness(rollout: ServedRollout) -> bool:
    """Return whether it is held, because v2 is slower."""
    return is_held(rollout) and "slower" in rollout.rollout["state_reason"]


def _of_two_flags(ours: bool, theirs: bool) -> Scenario:
    broken = " and ".join(name for name, each in (("ours", ours), ("theirs", theirs)) if each)
    our_state, their_state = ("rolled_back" if each else "running" for each in (ours, theirs))
    return Scenario(
        f"two flags, broken: {broken}; rolled back are those alone",
        partial(two_flags, ours=ours, theirs=theirs),
        partial(states_are, our_state, their_state),
        more_alerts=OTHER_RULE + OTHER_ALERTS,
    )


VARIANTS: Mapping[str, Scenario] = {
    "status-of-v2": Scenario("v2 fails every reading and no operation: rolled back", status_of_v2, is_rolled_back),
    "status-of-v2-alone": Scenario(
        "the same where everybody is on v2: rolled back", status_of_v2, is_rolled_back, position=EVERYBODY
    ),
    "slow-v2": Scenario("v2 is slow: held, and told", slow_v2, is_held_by_slowness),
    "one-kind": Scenario("v2 fails one kind of credits: rolled back", one_kind, is_rolled_back),
    "large-amounts": Scenario("v2 fails large amounts: rolled back", large_amounts, is_rolled_back),
    "on-and-off": Scenario(
        "v2 fails a fifth, 30 s on and 30 s off: rolled back", partial(on_and_off, shared=False), is_rolled_back
    ),
    "outage-on-and-off": Scenario(
        "both fail, 30 s on and 30 s off: held", partial(on_and_off, shared=True), is_held_as_shared
    ),
    "at-the-advance": Scenario("v2 fails from an advance on: rolled back", at_the_advance, is_rolled_back),
    "erased": Scenario("a failing account is erased: moves nothing", erased, is_running),
    "merged": Scenario("two failing accounts become one: never rolled back", merged, is_not_rolled_back),
    "leader-killed": Scenario("v2 fails while leaders are killed: rolled back", leader_killed, is_rolled_back),
    "alerts-replaced": Scenario(
        "alerts.yaml gets other thresholds in a breach: rolled back",
        partial(alerts_changed, change=_replaced),
        is_rolled_back,
    ),
    "alerts-broken": Scenario(
        "alerts.yaml breaks in a breach: rolled back", partial(alerts_changed, change=_broken), is_rolled_back
    ),
    "alerts-emptied": Scenario(
        "alerts.yaml is emptied in a breach: rolled back", partial(alerts_changed, change=_emptied), is_rolled_back
    ),
    "database-away": Scenario("the database answers nobody: held", database_away, is_held),
    "v2-after-database": Scenario(
        "v2 fails after such an outage: rolled back",
        partial(v2_after, earlier=Faults(database_away=True)),
        is_rolled_back,
    ),
    "v2-after-both": Scenario(
        "v2 fails after both have: rolled back",
        partial(v2_after, earlier=Faults(v2=EngineFault(), legacy=EngineFault())),
        is_rolled_back,
    ),
    "v2-after-legacy": Scenario(
        "v2 fails after legacy has: rolled back",
        partial(v2_after, earlier=Faults(legacy=EngineFault())),
        is_rolled_back,
    ),
    "two-flags-theirs": _of_two_flags(ours=False, theirs=True),
    "two-flags-ours": _of_two_flags(ours=True, theirs=False),
    "two-flags-both": _of_two_flags(ours=True, theirs=True),
}
