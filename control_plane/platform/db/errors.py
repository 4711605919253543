"""Which errors of a database mean that somebody else held a lock, or that our role lacks a right."""

import sqlite3

import psycopg

CODES = ("40P01", "40001", "55P03")
"""PostgreSQL: a deadlock, a transaction that must be run again, and a lock that was not to be had in time."""
INSUFFICIENT_PRIVILEGE = "42501"
BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
PRIMARY = 0xFF
"""SQLite says in the higher bits which kind of busy it was."""


def is_lock_timeout(cause: BaseException | None) -> bool:
    """Return whether the driver's error means a lock timeout or a deadlock."""
    match cause:
        case psycopg.Error():
            return cause.sqlstate in CODES
        case sqlite3.Error():
            return getattr(cause, "sqlite_errorcode", 0) & PRIMARY in BUSY
        case _:
            return False


def is_permission_denied(cause: BaseException | None) -> bool:
    """Tell whether PostgreSQL refused because the role lacks a right."""
    return isinstance(cause, psycopg.Error) and cause.sqlstate == INSUFFICIENT_PRIVILEGE
