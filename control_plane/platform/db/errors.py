"""Which errors of a database mean that somebody else held a lock, or that our role lacks a right."""

import sqlite3

import psycopg

CODES = ("40P01", "40001", "55P03")
"""PostgreSQL: a deadlock, a transaction that must be run again, and a lock that was not to be had in time."""
NO_ROOM = ("53100", sqlite3.SQLITE_FULL)
READ_ONLY = ("25006", sqlite3.SQLITE_READONLY)
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


def outage_of(error: BaseException) -> str:
    """Say in words for everybody why the database took no change: the kind of outage, and no address or value."""
    cause = getattr(error, "orig", None) or error
    code = cause.sqlstate if isinstance(cause, psycopg.Error) else getattr(cause, "sqlite_errorcode", 0) & PRIMARY
    if code in NO_ROOM:
        return "its disk is full"
    if code in READ_ONLY:
        return "it is read only"
    if is_lock_timeout(cause):
        return "a lock is held by somebody else"
    if isinstance(cause, (psycopg.OperationalError, ConnectionError)) and not code:
        return "it can't be reached"
    return type(error).__name__
