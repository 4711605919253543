"""How often an account may say what it wants: Stripe is asked each time, and the audit trail gets an entry."""

import math
import time

from flask import Flask
from limits import parse
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from control_plane.platform.extensions import AppState
from control_plane.platform.problems import Problem

LIMIT = parse("10/minute")
CHANGES = AppState[MovingWindowRateLimiter]("auto_top_up_changes")
"""Those of the last minute, of one process."""


def raise_or_count(user_id: str) -> None:
    """Note that an account asks for a change, or raise a 429 Problem once it asked for too many."""
    changes = CHANGES.get()
    if not changes.hit(LIMIT, user_id):
        seconds = max(1, math.ceil(changes.get_window_stats(LIMIT, user_id).reset_time - time.time()))
        sentence = f"This account changed it {LIMIT.amount} times within a minute; try again in {seconds} seconds."
        raise Problem(429, "TOO_MANY_CHANGES", sentence, headers={"Retry-After": str(seconds)})


def init_app(app: Flask) -> None:
    """Give the application its memory of changes."""
    CHANGES.set(app, MovingWindowRateLimiter(MemoryStorage()))
