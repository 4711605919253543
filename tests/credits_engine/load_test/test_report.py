"""The figures of a load test, and what falls short."""

from credits_engine.load_test.report import Answer, report


def answers(number: int, milliseconds: float = 10.0, status: int = 200, *, reads: bool = False) -> list[Answer]:
    return [Answer(status, milliseconds, reads)] * number


def test_a_load_that_is_answered_in_time_passes() -> None:
    found = report([*answers(90), *answers(10, 100.0, reads=True)], asked_per_second=10, seconds=10.0)
    assert (found.passed, found.per_second, found.failed) == (True, 10.0, 0)
    assert (found.consume_p95_ms, found.status_p95_ms) == (10.0, 100.0)


def test_each_shortfall_is_a_sentence() -> None:
    found = report(
        [*answers(90, 60.0), *answers(2, 10.0, 503), *answers(8, 300.0, reads=True)], asked_per_second=100, seconds=10.0
    )
    assert not found.passed
    assert found.shortfalls == (
        "2 of 100 requests failed; at most 1 % may.",
        "Consumption took 60 ms at p95; 50 ms are allowed.",
        "The status took 300 ms at p95; 200 ms are allowed.",
        "Only 10 a second were answered.",
    )


def test_a_refusal_for_lack_of_credits_is_an_answer_and_none_at_all_is_a_failure() -> None:
    assert report(answers(100, status=402), asked_per_second=10, seconds=10.0).failed == 0
    assert report(answers(100, status=0), asked_per_second=10, seconds=10.0).failed == 100
