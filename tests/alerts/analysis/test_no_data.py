"""Operations that went to v2 and were never counted are a gap; a pause in the traffic is none."""

from datetime import UTC, datetime, timedelta

from alerts.analysis.no_data import DataGap, from_json, to_json, update_gap

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


def after(*looks: tuple[int, int, int]) -> DataGap:
    """Return the gap after looks of (second, due so far, newly counted)."""
    gap = DataGap()
    for second, due, counted in looks:
        gap = update_gap(gap, due=due, counted=counted, now=NOW + timedelta(seconds=second))
    return gap


def test_a_gap_lasts_as_long_as_more_is_routed_and_nothing_counted() -> None:
    assert after((0, 1, 0), (30, 2, 0), (60, 3, 0)).seconds == 60


def test_any_count_ends_it() -> None:
    assert after((0, 1, 0), (30, 2, 0), (60, 3, 1)).seconds == 0
    assert after((0, 5, 0), (60, 9, 1), (70, 9, 0), (3600, 9, 0)).seconds == 0


def test_a_pause_in_the_traffic_is_no_gap() -> None:
    assert after((0, 0, 0), (3600, 0, 0)).seconds == 0
    assert after((0, 5, 0), (3600, 5, 0)).seconds == 0, "what a killed process took along, and then nothing"


def test_two_lost_operations_are_no_gap_however_far_apart() -> None:
    assert after((0, 1, 0), (3600, 2, 0)).seconds == 0


def test_a_failing_operation_that_is_tried_again_and_again_is_no_gap() -> None:
    looks = [(0, 1, 1)]
    for second in range(1, 600, 2):
        looks += [(second, 2, 0), (second + 1, 1, 0)]
    assert after(*looks).seconds == 0


def test_counters_that_were_reset_and_clocks_set_back_begin_again() -> None:
    assert after((0, 100, 1), (10, 101, 0), (20, 1, 0)).seconds == 0
    assert after((100, 1, 0), (50, 3, 0)).seconds == 0


def test_a_gap_survives_being_stored() -> None:
    for gap in (DataGap(), after((0, 1, 0), (30, 5, 0))):
        assert from_json(to_json(gap)) == gap
