"""What both sides answered, each by the role it had."""

from control_plane.experiments.credits import CREDITS
from control_plane.signal_counts import Counts
from dashboards.engine_counts import engine_counts, served_share


def minute(
    bad: int, total: int, engine: str = "v2", role: str = "served"
) -> tuple[tuple[tuple[str, str, str], int], Counts]:
    return ((CREDITS.signals.failure, engine, role), 0), Counts(bad, total)


def test_engines_are_counted_by_the_role_they_had() -> None:
    minutes = [minute(1, 10), minute(0, 30, role="shadow"), minute(0, 30, engine="legacy")]
    v2, legacy = engine_counts(minutes, CREDITS)
    assert (v2.served, v2.shadowed, v2.failed, v2.total) == (10, 30, 1, 40)
    assert (legacy.served, legacy.shadowed) == (30, 0)
    assert served_share((v2, legacy)) == 0.25


def test_no_traffic_has_no_share() -> None:
    assert served_share(engine_counts([], CREDITS)) is None
