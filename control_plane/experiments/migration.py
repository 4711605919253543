"""A migration as a value: its flag, the names of its two implementations, and the signals that its guard reads. Pure.

Alerts, gates and pages read these fields and know no implementation by name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from control_plane.rollout_names import SEPARATOR
from control_plane.signal_names import base_signal, in_environment

SIGNAL_PATTERN = "[a-z][a-z0-9_]{0,63}"
NAME_PATTERN = "[a-z][a-z0-9_-]{0,31}"


@dataclass(frozen=True, slots=True)
class MigrationSignals:
    """The names under which a migration is counted. `failure` and `slow` are counted per implementation and role."""

    routed: str
    """Requests that the flag gave to an implementation, counted before anything else can go wrong."""
    outcome_missing: str
    """Routed requests that owe no good outcome: they failed, or they were counted before."""
    comparison_missing: str
    """Routed requests that owe no comparison."""
    failure: str
    failed_candidate_only: str
    failed_control_only: str
    failure_discordant: str
    """No signal but a metric: `failed_candidate_only` among those that just one implementation failed."""
    serving_failure: str
    """Of what each implementation served: it failed, or the request failed around it."""
    control_check: str
    """Requests that failed around the candidate and were tried with the control: bad where that failed as well."""
    difference: str
    """Requests that both answered and answered differently."""
    slow: str
    shadow_skipped: str
    """Requests without a usable answer of the shadow: what is not compared is not guarded."""

    def __post_init__(self) -> None:
        names = self.all
        wrong = [name for name in names if not re.fullmatch(SIGNAL_PATTERN, base_signal(name))]
        if wrong:
            raise ValueError(f"{wrong[0]!r} is not the name of a signal; write it like price_failure.")
        if len(set(names)) < len(names):
            raise ValueError(f"A migration's signals need different names; these are {', '.join(names)}.")

    @property
    def all(self) -> tuple[str, ...]:
        """Every name, in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def renamed(self, rename: Callable[[str], str]) -> "MigrationSignals":
        """Return the same signals, each under the name that `rename` makes of its own."""
        return MigrationSignals(*map(rename, self.all))


@dataclass(frozen=True, slots=True)
class SideNames:
    """The names of the two sides of a flag, as sentences have them."""

    control: str
    candidate: str

    @property
    def control_title(self) -> str:
        """The control's name at the beginning of a sentence."""
        return self.control[:1].upper() + self.control[1:]


WITHOUT_MIGRATION = SideNames("the old version", "the new version")
"""What a flag without a migration takes its users from and to."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One flag that takes its users from `control` to `candidate`."""

    flag: str
    control: str
    """The name of the old implementation, as signals and pages have it."""
    candidate: str
    signals: MigrationSignals

    def __post_init__(self) -> None:
        for name in (self.control, self.candidate):
            if not re.fullmatch(NAME_PATTERN, name):
                raise ValueError(f"{name!r} is not the name of an implementation; write it like legacy or v2.")
        if self.control == self.candidate:
            raise ValueError(f"Both implementations of {self.flag} are called {self.control!r}; name them apart.")

    @property
    def names(self) -> SideNames:
        """Return what sentences call its implementations."""
        return SideNames(self.control, self.candidate)

    @property
    def base_signals(self) -> MigrationSignals:
        """Return its signals as they are called where no environment is counted apart."""
        return self.signals.renamed(base_signal)

    def in_environment(self, environment: str) -> "Migration":
        """Return it as the rollout of one environment takes users through it, counted there alone."""
        signals = self.signals.renamed(lambda name: in_environment(name, environment))
        return replace(self, flag=f"{self.flag}{SEPARATOR}{environment}", signals=signals)

    @classmethod
    def named(cls, flag: str, *, control: str, candidate: str, prefix: str) -> "Migration":
        """Make a migration whose signals begin with `prefix`, such as `price_failure`."""
        kinds = [field.name for field in fields(MigrationSignals)]
        return cls(flag, control, candidate, MigrationSignals(**{kind: f"{prefix}_{kind}" for kind in kinds}))


def side_names(migration: Migration | None) -> SideNames:
    """Return the names that sentences use about a flag, which may have no migration."""
    return migration.names if migration else WITHOUT_MIGRATION
