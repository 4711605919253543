"""Outcomes of answering a request: the guard counts them once somebody has proved who asks.

Anybody can send requests. A caller without valid credentials must not be able to move an alert, neither by failures
nor by successes, and most of what a request does happens before its credentials are known. So what is observed waits
in the request until it is answered. By then it is also known which side of which migration served it, so that all of
it, down to the statements, is counted under that side.
"""

from itertools import chain
from typing import NamedTuple

from flask import request

from control_plane.platform.current_request import environ, find_environ
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample

WAITING = "rollout.observations"
PROVED = "rollout.proved"
ACCOUNT = "rollout.account"
OPERATION = "rollout.operation"
ARMS = "rollout.arms"
API_ERRORS, UNAVAILABLE = "api_error_rate", "api_database_unavailable"
DATABASE_UNAVAILABLE = "DATABASE_UNAVAILABLE"
NO_ENGINES_FAULT = frozenset(
    {"ACCOUNT_BUSY", DATABASE_UNAVAILABLE, "USER_KEYS_UNAVAILABLE", "STRIPE_UNAVAILABLE", "TRY_AGAIN"}
)
"""Codes of answers that failed because something could not answer that every engine needs, or that none does."""


class Arm(NamedTuple):
    """The side of a flag's migration that serves a request, and what is to be counted of it at the end."""

    flag: str
    engine: str
    served: Sample | None = None
    """The good outcome of the engine, which counts unless the request fails after all."""
    failure: Sample | None = None
    """The bad outcome that counts where the request fails outside the engine."""
    missing: tuple[Sample, ...] = ()
    """That the guard is owed no good outcome; with a failure, and where nothing came of the request."""


def begin() -> None:
    """Let observations wait from now on."""
    environ()[WAITING] = []


def prove(caller: str) -> None:
    """Note that valid credentials of `caller` opened this request."""
    if (found := find_environ()) is not None:
        found[PROVED] = caller


def set_account(account: str) -> None:
    """Note whose credits the request is about: failures of one account count up to its share."""
    if (found := find_environ()) is not None:
        found[ACCOUNT] = account


def set_operation(key: str) -> None:
    """Note the key of the operation that is asked for: its retries count once."""
    if (found := find_environ()) is not None:
        found[OPERATION] = key


def set_arm(flag: str, engine: str, *, failure: Sample | None = None, missing: tuple[Sample, ...] = ()) -> None:
    """Note which side of the flag's migration serves the request, and what counts where it fails outside the engine."""
    if (found := find_environ()) is not None:
        found.setdefault(ARMS, {})[flag] = Arm(flag, engine, None, failure, missing)


def count_served(flag: str, outcome: Sample | None) -> None:
    """Count the engine's own outcome, a good one only if the request succeeds as well; None where it was counted.

    After this nothing counts a failure of the engine a second time.
    """
    found = find_environ() or {}
    arms: dict[str, Arm] = found.get(ARMS, {})
    is_waiting = flag in arms and found.get(WAITING) is not None
    if outcome is not None and not outcome.bad and is_waiting:
        arms[flag] = arms[flag]._replace(served=outcome)
        return
    if outcome is not None:
        signals.record(outcome)
    if is_waiting:
        arms[flag] = Arm(flag, arms[flag].engine)


def end_serving(flag: str) -> None:
    """Count the engine's good outcome now, where one waits: what fails in this request from here on is not its own."""
    found = find_environ() or {}
    arm: Arm | None = found.get(ARMS, {}).get(flag)
    if arm is None:
        return
    if arm.served is not None and PROVED in found:
        signals.record(arm.served)
    found[ARMS][flag] = Arm(flag, arm.engine)


def failing_arm(flag: str) -> str | None:
    """Return the side of the flag's migration that a failure of this request counts against; None for neither."""
    arm: Arm | None = ((find_environ() or {}).get(ARMS) or {}).get(flag)
    return arm.engine if arm and arm.failure else None


def account() -> str:
    """Return the account that a failure of this request counts for, else the caller."""
    found = environ()
    return found.get(ACCOUNT) or f"{found.get(PROVED, '')} {request.url_rule.rule if request.url_rule else ''}"


def operation() -> str | None:
    """Return the key of the operation that this request asks for, if it has one."""
    found: str | None = environ().get(OPERATION)
    return found


def observe(*observations: Sample) -> None:
    """Count `observations` once the caller has proved who they are; at once where no request is being answered."""
    found = find_environ()
    if found is None or WAITING not in found:
        signals.record(*observations)
        return
    waiting: list[Sample] | None = found[WAITING]
    if waiting is not None:
        waiting.extend(observations)
    elif PROVED in found:  # the answer is a stream that goes on after its beginning was counted
        signals.record(*observations)


def observe_answer(code: str | None, *, failed: bool) -> None:
    """Count whether the request failed, and whether the database was away, for whoever the request is about.

    Nobody is at fault in an outage, and it shows under the arms of both engines; what the database refuses to one of
    them alone is that one's.
    """
    about, key = account(), operation()
    observe(Sample(UNAVAILABLE, code == DATABASE_UNAVAILABLE, account=about, operation=key))
    if code not in NO_ENGINES_FAULT:
        observe(Sample(API_ERRORS, failed, account=about, operation=key))


def end(*, failed: bool, nobodys_fault: bool) -> None:
    """Count what waited if the caller has proved who they are, and forget it if not.

    A failure that is nobody's fault is no outcome of the side that served.
    """
    found = environ()
    arms = tuple(found.get(ARMS, {}).values())
    if PROVED in found:
        outcomes = (_outcome(arm, failed=failed, nobodys_fault=nobodys_fault) for arm in arms)
        signals.record(*_under_arms(found[WAITING], arms), *chain.from_iterable(outcomes))
    found[WAITING] = None


def arm_label(flag: str, engine: str) -> str:
    """Return the engine under which outcomes of the whole service are counted for one side of the flag's migration."""
    return f"{flag}:{engine}"


def _under_arms(waiting: list[Sample], arms: tuple[Arm, ...]) -> list[Sample]:
    if not arms:
        return waiting
    labels = [arm_label(arm.flag, arm.engine) for arm in arms]
    return [sample if sample.engine else sample._replace(engine=label) for label in labels for sample in waiting]


def _outcome(arm: Arm, *, failed: bool, nobodys_fault: bool) -> tuple[Sample, ...]:
    if nobodys_fault or (not failed and arm.served is None):
        return arm.missing
    if not failed:
        return () if arm.served is None else (arm.served,)
    if arm.failure is None:
        return ()
    # The engine knew more of the traffic than whoever routed it.
    cohorts = arm.failure.cohorts if arm.served is None else arm.served.cohorts
    return (arm.failure._replace(operation=operation(), cohorts=cohorts), *arm.missing)
