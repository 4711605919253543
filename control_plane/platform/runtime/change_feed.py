"""The change feed: what is published in a transaction reaches every process and stream after its commit.

PostgreSQL notifies; SQLite is polled. Either way the newest id of `change` is the truth, and a lost
notification costs one poll.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import psycopg
from flask import Flask, Response, g, has_request_context
from sqlalchemy import func, literal_column, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.platform.db import direct, errors
from control_plane.platform.db.database import after_commit, db, execute_core, is_postgresql, read_only
from control_plane.platform.db.sqlite_reader import SqliteReader
from control_plane.platform.extensions import AppState
from control_plane.platform.models import ChangeRow
from control_plane.platform.runtime.outage_log import OutageLog

CHANNEL = "rollout_change"
ORDER_LOCK = 7_210_001
POLL_SECONDS = {"sqlite": 0.1, "postgresql": 1.0}
UNUSED_POLL_SECONDS = {"sqlite": 0.5, "postgresql": 1.0}
"""While nobody follows and nobody has asked for UNUSED_SECONDS; whoever comes next ends it."""
UNUSED_SECONDS = 2.0
STOP_SECONDS = 0.5
OWN_CHANGE_SECONDS = 2.0
"""The longest that the answer to a change waits for this process to have read it."""

NEWEST = select(func.coalesce(func.max(ChangeRow.id), literal_column("0")))


@dataclass(frozen=True, slots=True)
class PublishedChange:
    """The announcement that `key` of `topic` changed."""

    topic: str
    key: str
    at: datetime


def publish(session: Session, topic: str, key: str, *, now: datetime, beyond: int | None = None) -> int:
    """Announce that `key` of `topic` changed; returns the new revision, visible to others after the commit.

    The revisions are counted on from `beyond` where that is given: only a restore goes back and has to leap forward.
    """
    lock_commit_order(session)
    change = ChangeRow(topic=topic, key=key, at=now)
    if beyond is not None:
        change.id = max(beyond, revision(session)) + 1
    session.add(change)
    session.flush()
    # PostgreSQL's sequence does not notice an id that was given, and would hand out the same ids again.
    if beyond is not None and is_postgresql(session):
        session.execute(text("SELECT setval(pg_get_serial_sequence('change', 'id'), :last)"), {"last": change.id})
    if is_postgresql(session):
        session.execute(text("SELECT pg_notify(:channel, :revision)"), {"channel": CHANNEL, "revision": str(change.id)})
    after_commit(session, partial(_committed, change.id))
    return change.id


def revision(session: Session) -> int:
    """Return the newest published change; 0 before the first."""
    found: int = execute_core(session, NEWEST).scalar_one()
    return found


def latest(session: Session, *, limit: int) -> list[PublishedChange]:
    """Return the newest changes first."""
    query = select(ChangeRow.topic, ChangeRow.key, ChangeRow.at).order_by(ChangeRow.id.desc()).limit(limit)
    return [PublishedChange(*row) for row in session.execute(query)]


def lock_commit_order(session: Session) -> None:
    """Let changes commit in the order of their ids, so that no reader can skip one. SQLite does so by itself."""
    if is_postgresql(session):
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ORDER_LOCK})


class ChangeFeed:
    """Follows the revision in this process and wakes whoever waits for the next one."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._changed = threading.Condition()
        self._nudge = threading.Event()
        self._revision = -1
        self._listeners: list[Callable[[int], None]] = []
        self._stopped = False
        self._waiting = 0
        self._used_at = time.monotonic()
        self._follower = threading.Thread(target=self._follow, name="change-feed", daemon=True)

    @property
    def stopped(self) -> bool:
        return self._stopped

    def subscribe(self, listener: Callable[[int], None]) -> None:
        """Call `listener(revision)` in the feed's thread after each change, inside an application context."""
        self._listeners.append(listener)

    def wake(self) -> None:
        """Look for a new revision now: this process has just committed one."""
        self._nudge.set()

    def wait(self, known: int, timeout_seconds: float, *, unless: Callable[[], object] = bool) -> int:
        """Block until the revision differs from `known`, the feed stops or time is up; returns the revision known.

        It does not wait where there is something in `unless()`, which is asked again after each `interrupt`.
        """
        self.use()
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._revision != known or self._stopped or unless(), timeout_seconds)
            finally:
                self._waiting -= 1
            return self._revision

    def wait_until(self, revision: int, timeout_seconds: float) -> None:
        """Block until this process has read that revision, or time is up; not at all where nothing is followed."""
        if self._follower.is_alive():
            with self._changed:
                self._changed.wait_for(lambda: self._revision >= revision or self._stopped, timeout_seconds)

    def interrupt(self) -> None:
        """Let everyone who waits look whether they still have to."""
        with self._changed:
            self._changed.notify_all()

    def use(self) -> None:
        """Look often from now on: somebody is about to be answered by what was read last."""
        now, used_at = time.monotonic(), self._used_at
        self._used_at = now
        if now - used_at > UNUSED_SECONDS:
            self._nudge.set()

    def start(self) -> None:
        """Follow in threads of their own. Call it in the serving process, never before a fork."""
        self._follower.start()
        with self._app.app_context():
            if db.engine.dialect.name == "postgresql":
                threading.Thread(target=self._listen, name="change-listen", daemon=True).start()

    def stop(self) -> None:
        """End the threads and everyone who waits."""
        self._stopped = True
        self._nudge.set()
        with self._changed:
            self._changed.notify_all()
        if self._follower.is_alive():
            # A look that is under way would give its connection back to a pool that is closed by then.
            self._follower.join(STOP_SECONDS)

    def refresh(self) -> None:
        """Read the revision once and tell the listeners if it moved."""
        with read_only() as session:
            newest = revision(session)
        if newest == self._revision:
            return
        # Listeners first: whoever is woken by the new revision must find the caches of this process filled with it.
        for listener in self._listeners:
            listener(newest)
        with self._changed:
            self._revision = newest
            self._changed.notify_all()

    def _follow(self) -> None:
        with self._app.app_context():
            dialect, url = db.engine.dialect.name, db.engine.url
            outage = OutageLog("change_feed.unreachable", "change_feed.reached")
            reader = SqliteReader(url.database if dialect == "sqlite" else None, str(NEWEST))
            while not self._stopped:
                # Cleared before reading: a commit that comes while we read sets it again, and the wait below returns at
                # once.
                self._nudge.clear()
                try:
                    if reader.read() != self._revision:
                        self.refresh()
                    outage.success()
                except SQLAlchemyError as error:
                    # The last good state stays in force; following goes on when the database is back.
                    outage.failure(error, errors.outage_of(error))
                self._nudge.wait((POLL_SECONDS if self._is_used() else UNUSED_POLL_SECONDS)[dialect])
            reader.close()

    def _is_used(self) -> bool:
        return self._waiting > 0 or time.monotonic() - self._used_at <= UNUSED_SECONDS

    def _listen(self) -> None:
        with self._app.app_context():
            arguments = direct.listen_arguments()
        outage = OutageLog("change_feed.listen_lost", "change_feed.listening")
        while not self._stopped:
            try:
                with psycopg.connect(**arguments) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    outage.success()
                    # What was committed while nobody listened sent its notification to nobody.
                    self._nudge.set()
                    while not self._stopped:
                        for _ in connection.notifies(timeout=1.0, stop_after=1):
                            self._nudge.set()
            except psycopg.Error as error:
                outage.failure(error, errors.outage_of(error))
                time.sleep(1.0)


def _committed(revision: int) -> None:
    feed().wake()
    if has_request_context():
        g.committed_revision = revision


def _after_own_change(response: Response) -> Response:
    """Let whoever changed something be served it by their next request, as far as this process answers it."""
    if (revision := g.pop("committed_revision", None)) is not None:
        feed().wait_until(revision, OWN_CHANGE_SECONDS)
    return response


FEED = AppState[ChangeFeed]("change_feed")


def feed() -> ChangeFeed:
    """Return the change feed of the running application."""
    return FEED.get()


def init_app(app: Flask) -> None:
    """Give the application its feed; `start` belongs to the serving process."""
    FEED.set(app, ChangeFeed(app))
    app.after_request(_after_own_change)
