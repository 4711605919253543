"""Bad outcomes among all outcomes, as signals count them and alerts judge them. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """Bad outcomes among all outcomes; counts of separate workers add up."""

    bad: int = 0
    total: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.bad + other.bad, self.total + other.total)

    def __sub__(self, earlier: "Counts") -> "Counts":
        return Counts(self.bad - earlier.bad, self.total - earlier.total)

    def since(self, before: "Counts") -> "Counts":
        """Return what came after `before`: nothing where counters were reset, and so would count backwards."""
        came = self - before
        return came if 0 <= came.bad <= came.total else Counts()

    @property
    def rate(self) -> float:
        """Bad over total, 0 where nothing was counted."""
        return self.bad / self.total if self.total else 0.0
