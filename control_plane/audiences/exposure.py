"""Whom a rollout admits in one environment, as a value that only grows along a plan."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from control_plane.audiences.constraint import Constraint, contains, listed

PRODUCTION = "production"
EVERYBODY = 100


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage of the customers who meet every constraint. `audience` and `phase` say by name what opened it."""

    audience: str
    constraints: tuple[Constraint, ...]
    percentage: int
    phase: str = ""
    segment: str = field(default="", compare=False)
    """Where the constraints were taken from; the same ones written out are the same share."""

    @property
    def cohort(self) -> str:
        """The customers it is a share of, inside a sentence."""
        conditions = f"whose {listed(self.constraints)}"
        return f"customers of segment {self.segment}, {conditions}" if self.segment else f"customers {conditions}"

    @property
    def title(self) -> str:
        """The same at the beginning of a sentence."""
        return f"C{self.cohort[1:]}"


@dataclass(frozen=True, slots=True)
class Exposure:
    """The users a rollout admits in one environment; each field only grows along a plan."""

    environment: bool = False
    allowlist: bool = False
    new_signups_percentage: int = 0
    everyone_percentage: int = 0
    shares: tuple[Share, ...] = ()

    @property
    def empty(self) -> bool:
        return self == Exposure()

    def with_share(self, share: Share) -> "Exposure":
        """Return the exposure with `share`, in the place of an earlier one of the same customers."""
        shares = tuple(share if each.constraints == share.constraints else each for each in self.shares)
        return replace(self, shares=shares if share in shares else (*shares, share))

    def percentage_of(self, constraints: tuple[Constraint, ...]) -> int:
        """Return the percentage that is certainly admitted of those who meet `constraints`."""
        wider = (share.percentage for share in self.shares if contains(share.constraints, constraints))
        return max(self.everyone_percentage, *wider, 0)

    def shares_beyond(self, other: "Exposure") -> Iterator[Share]:
        """Yield the shares that `other` does not have just so: of many that two have alike, none needs a proof."""
        return (share for share in self.shares if share not in other.shares)

    def adds_somebody_to(self, before: "Exposure") -> bool:
        """Return whether there can be a user whom this admits and `before` does not; buckets are the same in both."""
        if self.environment and not before.environment:
            return True
        if before.environment or before.everyone_percentage >= EVERYBODY:
            return False
        return (
            (self.allowlist and not before.allowlist)
            or self.everyone_percentage > before.everyone_percentage
            or self.new_signups_percentage > max(before.new_signups_percentage, before.everyone_percentage)
            or any(share.percentage > before.percentage_of(share.constraints) for share in self.shares_beyond(before))
        )
