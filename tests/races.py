"""Two transactions at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

from flask import Flask
from sqlalchemy.orm import Session

from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem

WAITS = 0.5
"""Long enough for the second to have read what the first is about to change."""


def during(app: Flask, first: Callable[[Session], object], second: Callable[[Session], object]) -> str:
    """Let the second begin while the first is not yet committed; return the code of its refusal, if it is refused."""

    def other() -> str:
        try:
            with app.app_context(), transaction() as session:
                second(session)
        except Problem as problem:
            return problem.code
        return ""

    with ThreadPoolExecutor(1) as threads:
        with transaction() as session:
            first(session)
            started = threads.submit(other)
            wait([started], timeout=WAITS)
        return started.result()
