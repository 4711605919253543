"""What must be kept of an alert between ticks: counts, and the evidence that they amount to."""

from collections.abc import Mapping
from math import log
from typing import Any, NamedTuple

from control_plane.signal_counts import Counts

LN_10 = log(10)
LIKELY = 2
MOST_ATTEMPTS = 10**9
ROUNDING = 1e-9


def attempts_for_chance(log10: float) -> int:
    """Return of how many attempts at most one gets as far as this by chance alone; `log10` is evidence as a power.

    That is Ville's inequality: without a fault, evidence reaches e in at most 1 / e of all attempts. Rounded down to
    two digits; beyond MOST_ATTEMPTS nobody needs the number.
    """
    # A bar of 1% is 10^1.9999999999999998 by its logarithm, and is 1 of 100 all the same.
    attempts = min(int(10 ** min(log10, 9.0) * (1 + ROUNDING)), MOST_ATTEMPTS)
    step: int = 10 ** max(len(str(attempts)) - 2, 0)
    return attempts // step * step


def chance_sentence(log10: float, needed_log10: float | None) -> str:
    """Say how much chance explains of evidence, and at how little of it a rollback comes if the alert may order one."""
    attempts = attempts_for_chance(log10)
    bar = "" if needed_log10 is None else f"; a rollback takes 1 of {attempts_for_chance(needed_log10):,}"
    if attempts < LIKELY:
        return f"Chance alone explains it{bar}."
    return f"Chance alone gets this far in at most 1 of {attempts:,} attempts{bar}."


class Evidence(NamedTuple):
    """All that must be kept of one alert between ticks; `Evidence()` is the start of an attempt.

    `carried` holds (1 - s) w_k M_k / K as the current window opened; the window's counts do the rest, so the order
    in which increments arrive inside a window can't matter.
    """

    bad: int = 0
    total: int = 0
    base_bad: int = 0
    base_total: int = 0
    window: int | None = None
    window_bad: int = 0
    window_total: int = 0
    windows_used: int = 0
    renewals: int = 0
    carried: tuple[float, ...] = ()
    log_e: float = 0.0
    peak_log_e: float = 0.0

    @property
    def counts(self) -> Counts:
        """Counts since the attempt began."""
        return Counts(self.bad, self.total)

    @property
    def log10(self) -> float:
        """The evidence as a power of ten, as shown to people."""
        return self.log_e / LN_10


def restart(evidence: Evidence, still_good: int = 0) -> Evidence:
    """Return the evidence with its counts, as if they had shown nothing: what follows is tested anew.

    So are those of the open window that are `still_good` and may turn bad.
    """
    counts = evidence.bad, evidence.total, evidence.bad, evidence.total - still_good
    return Evidence(*counts, evidence.window if still_good else None, 0, still_good)


def to_json(evidence: Evidence) -> dict[str, object]:
    """Return `evidence` as plain JSON values."""
    return evidence._asdict()


def from_json(stored: Mapping[str, Any]) -> Evidence:
    """Return the evidence that `to_json` wrote; raises TypeError when the fields are not its fields."""
    return Evidence(**{**stored, "carried": tuple(stored["carried"])})
