from control_plane.experiments.shadow_budget import OVERRUNS, PAUSE_SECONDS, ShadowBudget

SECOND = 1_000_000_000
SLOW_US = 20_000


def test_a_shadow_within_its_time_is_always_asked() -> None:
    budget = ShadowBudget()
    for moment in range(1_000):
        assert budget.admits(moment)
        budget.spend(budget.budget_us, moment)


def test_overruns_in_a_row_shed_the_shadow_and_one_operation_after_the_pause_tries_it() -> None:
    budget = ShadowBudget()
    for _ in range(OVERRUNS):
        assert budget.admits(0)
        budget.spend(SLOW_US, 0)
    later = PAUSE_SECONDS * SECOND
    assert not budget.admits(later - 1)
    assert [budget.admits(later) for _ in range(3)] == [True, False, False]
    budget.spend(SLOW_US, later)
    assert not budget.admits(2 * later - 1)
    assert budget.admits(2 * later)
    budget.spend(1, 2 * later)
    assert budget.admits(2 * later)


def test_a_machine_that_is_slow_now_and_then_sheds_nothing() -> None:
    budget = ShadowBudget()
    for _ in range(10):
        for duration_us in (*[SLOW_US] * (OVERRUNS - 1), 5):
            assert budget.admits(0)
            budget.spend(duration_us, 0)
