"""A fault in the served product, how it is brought about, and what is right for the guard to do about it."""

from collections.abc import Callable
from dataclasses import dataclass

from control_plane.core.phases import Position
from tests.faults.served_rollout import HALF, ServedRollout


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, how it is brought about, and what is right."""

    description: str
    run: Callable[[ServedRollout], int]
    """Break it and let users come; after how many operations the guard acted, or how many there were."""
    is_right: Callable[[ServedRollout], bool]
    plan: str = "plus"
    position: Position = HALF
    more_alerts: str = ""
    """What the installation's alerts.yaml has besides the shipped one."""


def is_held(rollout: ServedRollout) -> bool:
    """Return whether it is held; nobody but the guard does."""
    return rollout.state == "held"


def is_held_as_shared(rollout: ServedRollout) -> bool:
    """Return whether the guard holds it and says that legacy fails as well."""
    return is_held(rollout) and "legacy fails as well" in rollout.rollout["state_reason"]


def is_running(rollout: ServedRollout) -> bool:
    """Return whether nothing was done."""
    return rollout.state == "running"


def is_not_rolled_back(rollout: ServedRollout) -> bool:
    """Return whether it goes on, or is held."""
    return rollout.state in {"running", "held"}


def is_stopped(rollout: ServedRollout) -> bool:
    """Return whether it is held or rolled back."""
    return rollout.state in {"held", "rolled_back"}


def is_rolled_back(rollout: ServedRollout) -> bool:
    """Return whether it is rolled back, and v2 is blamed for it."""
    found = rollout.rollout
    return found["state"] == "rolled_back" and "v2" in found["state_reason"]


def names_legacy(rollout: ServedRollout) -> bool:
    """Return whether nobody was rolled back, and some alert says that it is legacy that fails."""
    told = any("legacy" in each["cause"] and each["status"] != "ok" for each in rollout.verdicts)
    return rollout.state != "rolled_back" and told
