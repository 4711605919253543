"""What a load test came to, and whether that is enough. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

FAILED_MAX = 0.01
CONSUME_MS, STATUS_MS = 50.0, 200.0
"""The guide's bounds at p95."""
RATE_MIN = 0.95
ANSWERED = (200, 402)
"""A refusal for lack of credits is an answer; 0 stands for none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its status, 0 where none came, and how long after it was due the answer was there."""

    status: int
    milliseconds: float
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of a load test; `shortfalls` says what is not as it should be."""

    asked_per_second: int
    per_second: float
    requests: int
    failed: int
    consume_p95_ms: float
    status_p95_ms: float
    shortfalls: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Return whether everything is as it should be."""
        return not self.shortfalls


def report(answers: Sequence[Answer], *, asked_per_second: int, seconds: float) -> Report:
    """Return the figures of `answers`, which took `seconds` in all."""
    failed = sum(answer.status not in ANSWERED for answer in answers)
    consume, status = (_p95([each.milliseconds for each in answers if each.reads is reads]) for reads in (False, True))
    per_second = len(answers) / seconds if seconds else 0.0
    shortfalls = [
        (failed > FAILED_MAX * len(answers), f"{failed:,} of {len(answers):,} requests failed; at most 1 % may."),
        (consume > CONSUME_MS, f"Consumption took {consume:,.0f} ms at p95; {CONSUME_MS:.0f} ms are allowed."),
        (status > STATUS_MS, f"The status took {status:,.0f} ms at p95; {STATUS_MS:.0f} ms are allowed."),
        (
            per_second < RATE_MIN * asked_per_second,
            f"Only {per_second:,.0f} a second were answered.",
        ),
    ]
    sentences = tuple(sentence for is_short, sentence in shortfalls if is_short)
    return Report(
        asked_per_second, round(per_second, 1), len(answers), failed, round(consume, 1), round(status, 1), sentences
    )


def _p95(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[min(int(0.95 * len(ordered)), len(ordered) - 1)] if ordered else 0.0
