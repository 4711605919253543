"""Figures for machines: JSON lines in `build/bench`, each with the machine that it was seen on.

Further runs are further lines; whoever reads them takes what bears the same name together.
"""

import json
import os
import platform
import re
import statistics
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).parents[2]
BUILD, COMMITTED = ROOT / "build" / "bench", ROOT / "docs" / "bench"
SUFFIX = ".jsonl"
SEEN = re.compile(r"^([\d,]+(?:\.\d+)?)\s*(\S*)")
RATE = "/s"


@dataclass(frozen=True, slots=True)
class Figure:
    """The measurement of one thing, in a unit; `size` is how much there was of what grows."""

    name: str
    unit: str
    runs: tuple[float, ...]
    size: int | None = None

    @property
    def median(self) -> float:
        """The run in the middle."""
        return statistics.median(self.runs)

    @property
    def is_rate(self) -> bool:
        """True if more of it is better."""
        return self.unit == RATE


class Goal(Protocol):
    """A figure as the parts of the bench print it."""

    @property
    def name(self) -> str:
        """The name of the thing that was measured."""

    @property
    def seen(self) -> str:
        """A number and its unit."""


def of_goals(goals: Iterable[Goal]) -> Iterator[Figure]:
    """Yield the figures among what is printed; what begins with no number is none."""
    for goal in goals:
        if found := SEEN.match(goal.seen):
            yield Figure(goal.name, found[2], (float(found[1].replace(",", "")),))


def record(part: str, figures: Iterable[Figure], folder: Path = BUILD) -> Path:
    """Add one run of a part to its file."""
    folder.mkdir(parents=True, exist_ok=True)
    path, facts = folder / f"{part}{SUFFIX}", machine()
    with path.open("a", encoding="utf-8") as file:
        for each in figures:
            line = {"name": each.name, "size": each.size, "unit": each.unit, "runs": each.runs, **facts}
            file.write(json.dumps(line) + "\n")
    return path


def read(path: Path) -> dict[tuple[str, int | None], Figure]:
    """Return every figure of a file by name and size, all its runs together."""
    found: dict[tuple[str, int | None], Figure] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        key = entry["name"], entry["size"]
        before = found[key].runs if key in found else ()
        found[key] = Figure(entry["name"], entry["unit"], (*before, *entry["runs"]), entry["size"])
    return found


def machine() -> dict[str, Any]:
    """Describe the machine, on which the figures depend besides the program."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
