"""The faults that a drill can inject, and what the guard has to do about each. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

ACCOUNTS = 40
BURST, BURST_EVERY = 3, 600
"""Failures at once, and operations from burst to burst: half of the threshold of 1 %."""
RETRIES = 10
STARTER_EVERY = 5


class DrillAction(StrEnum):
    """What became of the drill's flag."""

    ROLLBACK = "rollback"
    HOLD = "hold"
    NONE = "none"


class InjectedError(RuntimeError):
    """Raised on purpose."""


@dataclass(frozen=True, slots=True)
class DrillOperation:
    """One operation of a drill: its number, whose it is, and the key that retries repeat."""

    number: int
    account: str
    key: str
    broken: bool
    """The fault is in force: a drill begins healthy."""

    @property
    def is_starter(self) -> bool:
        """Return whether the account is of the plan that one fault refuses."""
        return int(self.account.rpartition("-")[2]) % STARTER_EVERY == 0


Decide = Callable[[DrillOperation], str]
"""An implementation: its answer to an operation. It may raise."""


def answer(_operation: DrillOperation) -> str:
    """Allow everything, as a healthy implementation does."""
    return "allowed"


def fail(operation: DrillOperation) -> str:
    """Fail once the fault is in force."""
    if operation.broken:
        raise InjectedError("A drill of the guard.")
    return answer(operation)


def fail_one_account(operation: DrillOperation) -> str:
    """Fail for one account, whatever it does."""
    return fail(operation) if operation.account.endswith("-1") else answer(operation)


def fail_in_bursts(operation: DrillOperation) -> str:
    """Fail some operations in a row from time to time, before the fault is in force as well: it is how things are."""
    if operation.number % BURST_EVERY < BURST:
        raise InjectedError("A drill of the guard.")
    return answer(operation)


def refuse_starter(operation: DrillOperation) -> str:
    """Refuse the operations of one plan."""
    return "refused" if operation.broken and operation.is_starter else answer(operation)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault: where it lies, and what the guard is expected to do."""

    expected: DrillAction
    description: str
    control: Decide = answer
    candidate: Decide = answer
    only_serving: bool = False
    """The candidate fails where it serves, and not as the shadow."""
    retries: int = 0
    """How often a failed operation is tried again, under the same key, by few accounts."""
    slow: bool = False
    """The candidate takes longer than its bound."""
    shows_as: str = "failure"
    """The signal of the drill's migration that it is bad for."""
    learns: bool = False
    """Nobody is exposed at first, so that the guard learns how failures come."""


FAULTS: Mapping[str, Fault] = {
    "candidate": Fault(DrillAction.ROLLBACK, "The candidate fails every operation.", candidate=fail),
    "serving": Fault(DrillAction.ROLLBACK, "The candidate fails where it serves.", candidate=fail, only_serving=True),
    "control": Fault(DrillAction.NONE, "The control alone fails.", control=fail),
    "both": Fault(DrillAction.HOLD, "Both fail the same operations.", control=fail, candidate=fail),
    "one-account": Fault(DrillAction.NONE, "Everything fails for one account.", candidate=fail_one_account),
    "retries": Fault(DrillAction.NONE, "One operation of two accounts fails and is tried again.", retries=RETRIES),
    "one-plan": Fault(
        DrillAction.ROLLBACK, "The candidate refuses one plan.", candidate=refuse_starter, shows_as="difference"
    ),
    "bursts": Fault(
        DrillAction.NONE, "Failures come in bursts, seldom enough.", fail_in_bursts, fail_in_bursts, learns=True
    ),
    "slow": Fault(DrillAction.ROLLBACK, "The candidate is slow.", slow=True, shows_as="slow"),
}
