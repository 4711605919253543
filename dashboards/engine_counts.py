"""What both sides of a migration answered, served and in the shadow. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from control_plane.experiments.migration import Migration
from dashboards.guardrails import Minutes


@dataclass(frozen=True, slots=True)
class EngineCounts:
    """The operations of one engine in the last hour, serving and shadowing, and its failures."""

    engine: str
    served: int
    shadowed: int
    failed: int

    @property
    def total(self) -> int:
        return self.served + self.shadowed


def engine_counts(minutes: Minutes, migration: Migration) -> tuple[EngineCounts, ...]:
    """Return the candidate beside the control, in what `minutes` covers."""
    signal = migration.signals.failure
    return tuple(_engine_counts(minutes, signal, engine) for engine in (migration.candidate, migration.control))


def served_share(counts: Sequence[EngineCounts]) -> float | None:
    """Return the part of the answers that the candidate gave, which is the first; None where nothing was asked."""
    total = sum(each.served for each in counts)
    return counts[0].served / total if total else None


def _engine_counts(minutes: Minutes, signal: str, engine: str) -> EngineCounts:
    found = [(key[2], count) for (key, _), count in minutes if key[:2] == (signal, engine)]
    return EngineCounts(
        engine=engine,
        served=sum(count.total for role, count in found if role == "served"),
        shadowed=sum(count.total for role, count in found if role != "served"),
        failed=sum(count.bad for _, count in found),
    )
