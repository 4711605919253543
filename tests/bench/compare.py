"""`python -m tests.bench.compare`: what was measured last beside what is committed, and whether it is more than noise.

1 when something got worse beyond noise. Only what was measured on both sides is compared.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.results import BUILD, COMMITTED, SUFFIX, Figure, read

RUNS_MIN = 3
"""Fewer of them say nothing about noise."""
WORTH_TELLING = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure then and now."""

    before: Figure
    after: Figure

    @property
    def ratio(self) -> float:
        """Now by then."""
        return self.after.median / self.before.median if self.before.median else float("inf")

    @property
    def verdict(self) -> str:
        """`better` and `worse` only where every run of one is beyond every run of the other."""
        if min(len(self.before.runs), len(self.after.runs)) < RUNS_MIN:
            return "too few runs"
        higher = min(self.after.runs) > max(self.before.runs)
        lower = max(self.after.runs) < min(self.before.runs)
        if not (higher or lower) or abs(self.ratio - 1) < WORTH_TELLING:
            return "within noise"
        return "better" if higher == self.after.is_rate else "worse"

    def __str__(self) -> str:
        of = "" if self.after.size is None else f" ({self.after.size:,})"
        figures = f"{_spread(self.before)} -> {_spread(self.after)} {self.after.unit}"
        return f"{self.verdict:12} {self.ratio:5.2f}x  {self.after.name}{of}: {figures}"


def compare(before: Path, after: Path) -> list[Comparison]:
    """Return every figure that both files have in the same unit."""
    then, now = read(before), read(after)
    return [Comparison(then[key], now[key]) for key in now if key in then and now[key].unit == then[key].unit]


def main() -> int:
    """Print every comparison."""
    worse, compared = 0, 0
    for committed in sorted(COMMITTED.glob(f"*{SUFFIX}")):
        measured = BUILD / committed.name
        for each in compare(committed, measured) if measured.exists() else []:
            print(each)  # noqa: T201
            worse, compared = worse + (each.verdict == "worse"), compared + 1
    if not compared:
        print(f"Nothing that was measured is in {BUILD}; `make bench` measures.")  # noqa: T201
    return 1 if worse else 0


def _spread(figure: Figure) -> str:
    return f"{figure.median:,.3g} [{min(figure.runs):,.3g}, {max(figure.runs):,.3g}]"


if __name__ == "__main__":
    sys.exit(main())
