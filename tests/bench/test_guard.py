import numpy as np
import pytest

from control_plane.signal_counts import Counts
from tests.bench.guard import peers, tables
from tests.bench.guard.draws import TICK_SECONDS, Traffic, increments

HOUR = 3600 // TICK_SECONDS
FIVE_MINUTES, MINUTE = 300 // TICK_SECONDS, 60 // TICK_SECONDS


def hour(bad: int, *, total: int = 25, fault_at: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return one run of an hour in which `bad` of `total` go wrong at every tick from `fault_at` on."""
    ticks = np.arange(HOUR)
    return np.where(ticks >= fault_at, bad, 0)[None, :], np.full((1, HOUR), total)


@pytest.mark.parametrize(
    ("method", "tick"),
    [
        (peers.argo, 4 * FIVE_MINUTES - 1),
        (peers.flagger, 5 * MINUTE - 1),
        (peers.rule_at_once, 0),
        (peers.rule_for_5m, FIVE_MINUTES),
        (peers.burn_rates, 0),
    ],
)
def test_a_fault_from_the_start_is_seen_at_each_methods_own_pace(method: peers.Method, tick: int) -> None:
    assert method(*hour(5), 0.01).tolist() == [tick]


@pytest.mark.parametrize("method", peers.METHODS.values(), ids=peers.METHODS.keys())
def test_nothing_bad_is_never_rolled_back(method: peers.Method) -> None:
    assert method(*hour(0), 0.01).tolist() == [-1]


def test_checks_without_data_count_against_flagger_alone() -> None:
    empty = hour(0, total=0)

    assert peers.flagger(*empty, 0.01).tolist() == [5 * MINUTE - 1]
    assert peers.argo(*empty, 0.01).tolist() == [-1]


def test_a_rule_with_for_waits_for_five_minutes_above_the_threshold() -> None:
    bad, total = hour(6, fault_at=100)

    assert peers.rule_for_5m(bad, total, 0.01).tolist() == [100 + FIVE_MINUTES]


def test_a_stream_is_cut_after_each_bad_outcome_and_at_each_window() -> None:
    rng = np.random.default_rng(1)

    drawn = list(increments(rng, Traffic(per_minute=100, bad_rate=0.05, seconds=3600), 300))

    total = sum((counts for _, counts in drawn), Counts())
    assert all(counts.bad in (0, 1) and counts.total >= 1 for _, counts in drawn)
    assert [window for window, _ in drawn] == sorted(window for window, _ in drawn)
    assert {window for window, _ in drawn} == set(range(12))
    assert 5700 < total.total < 6300
    assert 0.04 < total.rate < 0.06


def test_a_share_is_printed_with_its_exact_interval() -> None:
    assert tables.share(0, 600) == "0% [0%, 0.613%]"


def test_quantiles_are_values_that_occurred() -> None:
    values = [5.0, 1.0, float("inf"), 3.0, 2.0, 4.0, 6.0, 7.0, 8.0, 9.0]

    assert (tables.quantile(values, 0.5), tables.quantile(values, 0.9)) == (5, 9)
    assert tables.median_and_p90([float("inf")] * 9) == "never"
