"""The metrics that an alert may be written on: those that are built in, and those of every migration. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from alerts.analysis.metrics import CREDIT_METRICS, Compare, Metric, metrics_of, metrics_with
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration


@dataclass(frozen=True, slots=True)
class KnownMetrics:
    """Metrics by name, and the migrations that some of them belong to."""

    metrics: Mapping[str, Metric]
    migrations: Mapping[str, Migration]
    """By flag."""
    owners: Mapping[str, Migration]
    """The migration of each metric that belongs to one, by the metric's name."""

    @classmethod
    def with_migrations(cls, migrations: Iterable[Migration]) -> "KnownMetrics":
        """Add what `migrations` count to what is built in."""
        known = {each.flag: each for each in (CREDITS, *migrations)}
        owners = {name: each for each in known.values() for name in metrics_of(each)}
        owners |= dict.fromkeys(CREDIT_METRICS, CREDITS)
        return cls(metrics_with(known.values()), known, owners)

    def metric(self, name: str, values: Mapping[str, Any]) -> Metric | None:
        """Return a built-in measurement, or a signal of the users' own where `metric` names one.

        None where none is named.
        """
        named = values.get("metric", name)
        if named in self.metrics or "metric" not in values:
            return self.metrics.get(named)
        compare = values.get("compare", Compare.ABSOLUTE)
        return Metric(named, values["threshold"].unit, compare=compare)

    def flag(self, name: str, values: Mapping[str, Any]) -> str:
        """Return the flag that an alert names, else that of its metric's migration, else the credits'."""
        owner = self.owners.get(values.get("metric", name), CREDITS)
        flag: str = values.get("flag", owner.flag)
        return flag
