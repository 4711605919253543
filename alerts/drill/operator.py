"""The operations of a drill: run as an experiment, counted as a real one's are."""

from alerts.drill.faults import ACCOUNTS, DrillOperation, Fault, InjectedError, answer
from alerts.drill.flag import DRILL, SLOW_SECONDS
from control_plane.experiments.experiment import Experiment
from control_plane.experiments.publication import run_and_count
from control_plane.experiments.shadow_budget import ShadowBudgets

UNBOUNDED = 10**12
RETRYING_ACCOUNTS, RETRIED_EVERY = 2, 520


class Operator:
    """Run operations with a fault in them."""

    def __init__(self, fault: Fault, name: str) -> None:
        # Operations of another drill within the hour have other keys, or they would be taken for retries of these.
        self._name = name
        self._fault, self._delay_ns, self._clock_ns = fault, 0, 0
        self._experiment = Experiment(
            DRILL,
            self._control,
            self._candidate,
            budgets=ShadowBudgets(UNBOUNDED),
            timer=self._time,
            copy=lambda operation: operation,
        )
        self._serves = self._failed = False
        self._broken_from: int | None = None

    def __call__(self, number: int, *, is_served: bool, broken: bool) -> bool:
        """Run one operation, with its retries; return whether it failed, was refused or was slow."""
        self._serves, self._failed = is_served, False
        if broken and self._broken_from is None:
            self._broken_from = number
        operation = DrillOperation(number, f"account-{number % ACCOUNTS}", f"{self._name}-{number}", broken)
        for _ in range(1 + (self._fault.retries if self._is_retried(operation) else 0)):
            self._run(operation, is_served=is_served)
        return self._failed

    def _run(self, operation: DrillOperation, *, is_served: bool) -> None:
        try:
            run_and_count(
                self._experiment,
                operation,
                candidate_serves=is_served,
                account=operation.account,
                operation=operation.key,
            )
        except InjectedError:
            self._failed = True

    def _control(self, operation: DrillOperation) -> str:
        try:
            return self._fault.control(operation)
        except InjectedError:
            self._failed = True
            raise

    def _candidate(self, operation: DrillOperation) -> str:
        if self._fault.only_serving and not self._serves:
            return answer(operation)
        if self._fault.slow and operation.broken:
            self._delay_ns, self._failed = int(2 * SLOW_SECONDS * 1e9), True
        if self._is_retried(operation):
            raise InjectedError("A drill of the guard.")
        try:
            found = self._fault.candidate(operation)
        except InjectedError:
            self._failed = True
            raise
        self._failed = self._failed or found != answer(operation)
        return found

    def _is_retried(self, operation: DrillOperation) -> bool:
        """Return whether it is one of those that fail however often they are tried: two at first, and two seldom."""
        since = operation.number - (self._broken_from or 0)
        return bool(self._fault.retries) and operation.broken and since % RETRIED_EVERY < RETRYING_ACCOUNTS

    def _time(self) -> int:
        """Return the time of a clock on which a slow candidate is slow and nobody waits for it."""
        self._clock_ns += self._delay_ns + 1000
        self._delay_ns = 0
        return self._clock_ns
