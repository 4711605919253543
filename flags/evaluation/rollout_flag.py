"""The values an evaluation works on: a flag under a rollout in one environment, overrides by name, and who asks."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from control_plane.audiences.exposure import PRODUCTION, Exposure

MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Override:
    """A decision about one user by name; it stops counting at `expires_at`."""

    reason: str
    expires_at: datetime | None = None

    def is_active_at(self, now: datetime) -> bool:
        """Return whether the override is in force at `now`."""
        return self.expires_at is None or now < self.expires_at


@dataclass(frozen=True, slots=True)
class RolloutFlag:
    """A flag under a rollout in one environment, with everything an evaluation may look at.

    `environment_switch` is the process's environment variable. `latched` says why the rollout is rolled back.
    `guard_expires_at` ends the guard's lease; None where no guard is required. `phase_names` names the phase
    that opens each audience. `revision` is the one the flag was read at.
    """

    key: str
    environment: str
    revision: int
    exposure: Exposure
    new_signups_after: datetime
    environment_switch: bool | None = None
    latched: str | None = None
    guard_expires_at: datetime | None = None
    denied: Mapping[str, Override] = field(default_factory=dict)
    allowed: Mapping[str, Override] = field(default_factory=dict)
    beta: Set[str] = frozenset()
    phase_names: Mapping[str, str] = field(default_factory=dict)
    first_new_signup: datetime = field(init=False)
    """The first instant that counts as new: engines compare whole milliseconds, and so do we."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "first_new_signup", floor_millisecond(self.new_signups_after) + MILLISECOND)

    @property
    def switch_in_force(self) -> bool | None:
        """Return the environment variable's decision: off always, on only outside production, else None."""
        if self.environment_switch and self.environment == PRODUCTION:
            return None
        return self.environment_switch


@dataclass(frozen=True, slots=True)
class EvaluationContext:
    """The user of an evaluation. An empty `user_id` is anonymous; `signed_up_at` is aware, None when unknown.

    `properties` are what conditions on attributes read, by the names that callers use.
    """

    user_id: str | None = None
    signed_up_at: datetime | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


def floor_millisecond(instant: datetime) -> datetime:
    """Return `instant` without what is finer than a millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def active_users(overrides: Mapping[str, Override], now: datetime) -> set[str]:
    """Return the users whose override stands at `now`."""
    return {*ordered_active_users(overrides, now)}


def ordered_active_users(overrides: Mapping[str, Override], now: datetime) -> list[str]:
    """Return the active users, those first who were named first."""
    return [user_id for user_id, override in overrides.items() if override.is_active_at(now)]
