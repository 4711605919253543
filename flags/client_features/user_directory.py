"""The directory of the product's users in this process's memory, so that a user id is all that a caller must send.

Kept on disk too: a process that starts while the database is away knows everyone whom the one before it knew.
"""

import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import structlog
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.runtime import jobs
from control_plane.platform.settings import Settings
from flags import store
from flags.client_features import user_directory_backup
from flags.client_features.user_directory_backup import Entry
from flags.evaluation.contexts import KnownAttributes
from flags.store import UserAttributes

FOLLOW_SECONDS = 1.0
SAVE_SECONDS = 2.0
PAUSE_SECONDS = 1.0
NEARBY = timedelta(seconds=2)
"""How far clocks differ and how long a change takes to be committed, nearly always."""
OVERLAP = timedelta(minutes=1)
"""The same at worst; such a change is known a quarter of a minute late. After an import that much is read again."""
RESCAN_EVERY = timedelta(seconds=15)
USERS_MAX = 1_000_000
"""Who signed up last is kept; the cohorts that ask for more than an id are those of new users."""
GROWTH_MAX = USERS_MAX // 10
"""How many more may come in one by one until everyone is read again and the oldest are dropped."""

log = structlog.get_logger()


class UserLookup(Protocol):
    """A look-up of user attributes."""

    def find(self, user_id: str | None) -> KnownAttributes | None:
        """Return the known attributes of this user, or None."""


class UserDirectory:
    """The user attributes in memory, refreshed once a second; the last known stay during an outage."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries: dict[str, Entry] = {}
        self._followed_at: datetime | None = None
        self._rescanned_at: datetime | None = None
        self._ask_again_at = 0.0
        self._following = threading.Lock()
        self._unkept: dict[str, Entry] = {}
        self._all_unkept = False
        self._restored = 0

    def find(self, user_id: str | None) -> KnownAttributes | None:
        """Return the known attributes of this user, or None."""
        if self._followed_at is None and time.monotonic() >= self._ask_again_at:
            self.follow(clock.now())
        entry = self._entries.get(user_id) if user_id else None
        return None if entry is None else _attributes(entry)

    def users(self) -> Iterator[tuple[str, KnownAttributes]]:
        """Yield everybody who is known now."""
        for user_id, entry in list(self._entries.items()):
            yield user_id, _attributes(entry)

    def follow(self, now: datetime) -> None:
        """Read whoever was changed since the last time; everyone the first time, or whoever was kept."""
        with self._following:
            try:
                with read_only() as session:
                    if len(self._entries) > USERS_MAX + GROWTH_MAX or self._is_of_another_past(session):
                        self._followed_at = self._rescanned_at = None
                    is_rescan = self._rescanned_at is None or now - self._rescanned_at >= RESCAN_EVERY
                    since = self._since(is_rescan=is_rescan)
                    found = _read(session, since)
            except SQLAlchemyError:
                # The change feed has logged that the database can't be reached.
                self._load_backup()
                return
            self._take(found, everyone=since is None)
            self._followed_at = now
            if is_rescan:
                self._rescanned_at = now

    def save_backup(self) -> None:
        """Keep on disk what has changed since the last time; what can't be kept is tried again."""
        with self._following:
            everyone, changed = self._all_unkept, self._unkept
            # Given up before the write: changes that come during it are noted for the next one.
            self._all_unkept, self._unkept = False, {}
            entries = dict(self._entries) if everyone else changed
        try:
            if everyone:
                user_directory_backup.save_all(self._folder, entries)
            elif entries:
                user_directory_backup.save(self._folder, entries)
        except (OSError, sqlite3.Error) as error:
            log.warning("directory.not_kept", error=type(error).__name__, cause=str(error)[:200])
            # What had changed was forgotten above, so everyone is written the next time.
            self._all_unkept = True

    def _is_of_another_past(self, session: Session) -> bool:
        """Return whether users have to be forgotten: the database was restored meanwhile, or a person was erased."""
        known, self._restored = self._restored, store.forget_revision(session)
        return known != self._restored

    def _since(self, *, is_rescan: bool) -> datetime | None:
        """Return from when on changes may have been missed; None before anybody was read."""
        if is_rescan:
            # Since the last time, not since a while ago: what came late in between may bear an instant before it.
            return self._rescanned_at and self._rescanned_at - OVERLAP
        return self._followed_at and self._followed_at - NEARBY

    def _take(self, found: dict[str, Entry], *, everyone: bool) -> None:
        if everyone:
            self._entries, self._all_unkept = found, True
            return
        changed = {user_id: entry for user_id, entry in found.items() if self._entries.get(user_id) != entry}
        self._entries.update(changed)
        self._unkept.update(changed)

    def _load_backup(self) -> None:
        """Begin with whoever was kept, once; requests don't wait for the database again and again."""
        self._ask_again_at = time.monotonic() + PAUSE_SECONDS
        if self._followed_at is None and not self._entries:
            self._entries = user_directory_backup.load(self._folder)
            if self._entries:
                log.warning("directory.recalled", users=len(self._entries))


USER_DIRECTORY = AppState[UserLookup]("user_directory")


def user_directory() -> UserLookup:
    """Return the directory of the running application."""
    return USER_DIRECTORY.get()


def init_app(app: Flask, settings: Settings) -> UserDirectory:
    """Give the application its directory and return it; the schedule follows and keeps it once it runs."""
    made = UserDirectory(settings.flags_backup_dir)
    USER_DIRECTORY.set(app, made)
    schedule = jobs.jobs_of(app)
    schedule.run_on_all(FOLLOW_SECONDS, "follow-directory", made.follow)
    schedule.run_on_all(SAVE_SECONDS, "keep-directory", lambda _now: made.save_backup())
    return made


def _read(session: Session, since: datetime | None) -> dict[str, Entry]:
    return {user.user_id: _entry(user) for user in store.users(session, since, limit=USERS_MAX)}


def _attributes(entry: Entry) -> KnownAttributes:
    plan, seconds, beta = entry
    return KnownAttributes(plan, None if seconds is None else datetime.fromtimestamp(seconds, UTC), beta)


def _entry(user: UserAttributes) -> Entry:
    return sys.intern(user.plan), user.signed_up_at.timestamp() if user.signed_up_at else None, user.beta
