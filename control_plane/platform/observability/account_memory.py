"""Which accounts have the most traffic, and which failed before, in bounded memory. Pure."""

from dataclasses import dataclass, field

BUSIEST = 20
BUSY_OUTCOMES = 20
"""An account is among the busiest once so many of its operations were certainly seen."""
FAILED_MAX = 1000


@dataclass(slots=True)
class BusiestAccounts:
    """The accounts with the most traffic, by the Space-Saving algorithm (Metwally 2005): bounded, whoever comes."""

    _seen: dict[str, list[int]] = field(default_factory=dict)
    """By account: its count, and by how much that may be too high."""

    def observe(self, account: str) -> bool:
        """Count an operation of `account`; return whether it is among the busiest, whatever the outcome is."""
        entry = self._seen.get(account)
        if entry is None:
            floor = 0
            if len(self._seen) >= BUSIEST:
                rarest = min(self._seen, key=self._seen.__getitem__)
                floor = self._seen.pop(rarest)[0]
            self._seen[account] = [floor + 1, floor]
            return False
        entry[0] += 1
        return entry[0] - entry[1] >= BUSY_OUTCOMES

    def halve(self) -> None:
        """Let what was seen so far weigh half, so that who was busy once makes room."""
        for entry in self._seen.values():
            entry[0] //= 2
            entry[1] //= 2


@dataclass(slots=True)
class FailedAccounts:
    """Accounts that failed in this hour or the one before, per signal."""

    _now: set[tuple[str, str]] = field(default_factory=set)
    _earlier: set[tuple[str, str]] = field(default_factory=set)

    def holds(self, signal: str, account: str) -> bool:
        """Return whether `account` failed before."""
        return (signal, account) in self._now or (signal, account) in self._earlier

    def add(self, signal: str, account: str) -> None:
        """Remember that `account` failed."""
        if len(self._now) < FAILED_MAX:
            self._now.add((signal, account))

    def forget(self, signal: str, account: str) -> None:
        """Let `account` not have failed."""
        self._now.discard((signal, account))
        self._earlier.discard((signal, account))

    def turn(self) -> None:
        """Begin another hour."""
        self._now, self._earlier = set(), self._now
