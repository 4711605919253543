"""Independent runs drawn on several processes; how many processes there are changes no figure."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from zlib import crc32

import numpy as np

CHUNK = 25


@dataclass(frozen=True, slots=True)
class Sampler:
    """The draws of a simulation: how many, from which seed, and where they are computed."""

    executor: Executor
    runs: int
    seed: int
    rare_runs: int
    """For cells whose goal is at most one in a hundred."""

    @property
    def rare(self) -> "Sampler":
        """The sampler of cells whose goal is at most one in a hundred."""
        return replace(self, runs=max(self.runs, self.rare_runs))

    def each(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return `function(rng, *arguments)`, once per run."""
        return [result for chunk in self._chunks(_several, function, arguments) for result in chunk]

    def batches(self, function: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Return `function(rng, runs, *arguments)` on batches that add up to all runs."""
        return self._chunks(_batch, function, arguments)

    def _chunks(self, work: Callable[..., Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> list[Any]:
        sizes = [min(CHUNK, self.runs - begun) for begun in range(0, self.runs, CHUNK)]
        cell = crc32(repr((_name(function), arguments)).encode())
        seeds = np.random.SeedSequence((self.seed, cell)).spawn(len(sizes))
        return list(self.executor.map(partial(work, function, arguments), seeds, sizes))


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "func", function).__name__)


def _several(
    function: Callable[..., Any], arguments: tuple[Any, ...], seed: np.random.SeedSequence, runs: int
) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [function(rng, *arguments) for _ in range(runs)]


def _batch(function: Callable[..., Any], arguments: tuple[Any, ...], seed: np.random.SeedSequence, runs: int) -> Any:
    return function(np.random.default_rng(seed), runs, *arguments)
