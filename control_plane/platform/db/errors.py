"""Which errors of a database mean that somebody else held a lock, or that our role lacks a right."""

import sqlite3

import psycopg
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

CODES = ("40P01", "40001", "55P03")
"""PostgreSQL: a deadlock, a transaction that must be run again, and a lock that was not to be had in time."""
NO_ROOM = ("53100", sqlite3.SQLITE_FULL)
READ_ONLY = ("25006", sqlite3.SQLITE_READONLY)
INSUFFICIENT_PRIVILEGE = "42501"
REFUSALS = (
    (NO_ROOM, "The database has no room left, so nothing was changed: {said}."),
    (READ_ONLY, "The database is read only, so nothing was changed: {said}. Run this where it can be written."),
    (
        (sqlite3.SQLITE_CANTOPEN,),
        "The database can't be opened: {said}. This user has to be able to write its file and its folder.",
    ),
    ((INSUFFICIENT_PRIVILEGE,), "The database does not let this role do that: {said}."),
)
"""By code, what a command says, with the words of the driver."""
REACHED = "The database was reached and did not do it: {said}."
NOT_REACHED = "The database can't be reached: {said}. Check DATABASE_URL and that it runs."
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
    if isinstance(error, PoolTimeoutError):
        return "every connection to it is taken"
    cause = getattr(error, "orig", None) or error
    code = _code(cause)
    if code in NO_ROOM:
        return "its disk is full"
    if code in READ_ONLY:
        return "it is read only"
    if is_lock_timeout(cause):
        return "a lock is held by somebody else"
    if isinstance(cause, (psycopg.OperationalError, ConnectionError)) and not code:
        return "it can't be reached"
    return type(error).__name__


def command_sentence(error: DBAPIError) -> str:
    """Say to whoever ran a command why the database did not do it, in the driver's words; empty for a defect."""
    code, said = _code(error.orig), str(error.orig).strip().rstrip(".")
    found = "Somebody else holds a lock that this needs, so try again: {said}." if is_lock_timeout(error.orig) else ""
    found = found or next((sentence for codes, sentence in REFUSALS if code in codes), "")
    if not found and isinstance(error, OperationalError):
        found = REACHED if code else NOT_REACHED
    return found.format(said=said)


def _code(cause: BaseException | None) -> str | int | None:
    """Return PostgreSQL's code, which an error without an answer of it lacks, or SQLite's."""
    return cause.sqlstate if isinstance(cause, psycopg.Error) else getattr(cause, "sqlite_errorcode", 0) & PRIMARY
