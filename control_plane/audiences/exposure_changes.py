"""Whom one exposure admits and another does not, part by part, as sentences. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from control_plane.audiences.exposure import EVERYBODY, Exposure


@dataclass(frozen=True, slots=True)
class ExposureChange:
    """Users whom the larger exposure admits and the smaller does not; with shares where it is a part of them."""

    name: str
    smaller: str = "off"
    larger: str = "on"

    @property
    def gained(self) -> str:
        """Describe what they gain on the way to the larger exposure."""
        return f"{self.name}: from {self.smaller} to {self.larger}."

    @property
    def lost(self) -> str:
        """Describe what they lose on the way back."""
        return f"{self.name}: from {self.larger} to {self.smaller}."


def changes_between(
    smaller: Exposure, larger: Exposure, *, cutover_of_smaller: datetime, cutover_of_larger: datetime
) -> Iterator[ExposureChange]:
    """Name each part of the users of which `larger` admits some more than `smaller`; buckets are the same in both."""
    # A whole environment has more than everybody who is named: it has the anonymous too.
    if smaller.environment or (smaller.everyone_percentage >= EVERYBODY and not larger.environment):
        return
    if larger.environment:
        yield ExposureChange("The environment as a whole")
        return
    if larger.allowlist and not smaller.allowlist:
        yield ExposureChange("The beta allowlist")
    reached = max(smaller.new_signups_percentage, smaller.everyone_percentage)
    if larger.new_signups_percentage > reached:
        yield _share("New signups", reached, larger.new_signups_percentage)
    elif larger.new_signups_percentage > smaller.everyone_percentage and cutover_of_larger < cutover_of_smaller:
        yield ExposureChange("New signups", _after(cutover_of_smaller), _after(cutover_of_larger))
    for share in larger.shares_beyond(smaller):
        if share.percentage > (old := smaller.percentage_of(share.constraints)):
            yield _share(share.title, old, share.percentage)
    if larger.everyone_percentage > smaller.everyone_percentage:
        yield _share("Everyone", smaller.everyone_percentage, larger.everyone_percentage)


def _after(cutover: datetime) -> str:
    return f"those after {cutover.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _share(name: str, smaller: int, larger: int) -> ExposureChange:
    return ExposureChange(name, f"{smaller} %", f"{larger} %")
