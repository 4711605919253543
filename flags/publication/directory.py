"""The directory of the product's users in this process's memory, so that a user id is all that a caller must send."""

import sys
import threading
from datetime import UTC, datetime, timedelta
from typing import Protocol

from flask import Flask, current_app
from sqlalchemy.exc import SQLAlchemyError

from control_plane.platform import jobs
from control_plane.platform.database import reading
from flags import store
from flags.contexts import Acquaintance
from flags.store import UserAttributes

FOLLOW_SECONDS = 1.0
OVERLAP = timedelta(minutes=1)
"""How far clocks may differ, and how long after its own instant a change may still be committed."""
USERS_MAX = 1_000_000
"""Who signed up last is kept; the cohorts that ask for more than an id are those of new users."""

Entry = tuple[str, float | None, bool]
"""Plan, seconds of the epoch at sign-up, beta: the least in which a million of them can be kept."""


class KnowsUsers(Protocol):
    """Whoever may know something of a user."""

    def find(self, user_id: str | None) -> Acquaintance | None:
        """What is known of this user, None when nothing is."""


class Directory:
    """What this process knows of users. Followed once a second; the last known stays while it can't be."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._followed_at: datetime | None = None
        self._following = threading.Lock()

    def find(self, user_id: str | None) -> Acquaintance | None:
        """What is known of this user, None when nothing is."""
        if self._followed_at is None:
            self.follow(datetime.now(UTC))
        entry = self._entries.get(user_id) if user_id else None
        if entry is None:
            return None
        plan, seconds, beta = entry
        return Acquaintance(plan, None if seconds is None else datetime.fromtimestamp(seconds, UTC), beta)

    def follow(self, now: datetime) -> None:
        """Read whoever was changed since the last time; everyone the first time."""
        with self._following:
            since = self._followed_at - OVERLAP if self._followed_at else None
            try:
                with reading() as session:
                    changed = {user.user_id: _entry(user) for user in store.users(session, since, limit=USERS_MAX)}
            except SQLAlchemyError:
                return  # the change feed has logged that the database can't be reached
            self._entries.update(changed)
            self._followed_at = now


def directory() -> KnowsUsers:
    """The directory of the running application."""
    found: KnowsUsers = current_app.extensions["flag_directory"]
    return found


def init_app(app: Flask) -> None:
    """Give the application its directory; the schedule follows it once it runs."""
    made = Directory()
    app.extensions["flag_directory"] = made
    jobs.of(app).everywhere(FOLLOW_SECONDS, "follow-directory", made.follow)


def _entry(user: UserAttributes) -> Entry:
    return sys.intern(user.plan), user.signed_up_at.timestamp() if user.signed_up_at else None, user.beta
