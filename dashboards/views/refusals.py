"""Refusals of what a form asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import flash

from control_plane.platform.problems import Problem
from dashboards.problem_sentences import unchanged


@contextmanager
def flash_refusal() -> Iterator[None]:
    """Say on the next page that nothing was changed, and why, where a Problem is raised."""
    try:
        yield
    except Problem as problem:
        flash(unchanged(problem), "refusal")
