"""Name the sessions that hold the lock a change waits for, as far as the database tells."""

from sqlalchemy import Connection, text

SQLITE = "Another process holds the write lock of SQLite's file."
UNKNOWN = "Another transaction holds a lock that this needs; it has ended by now or can't be seen."

# Row locks show as these modes on the table whose rows they are; plain reads (AccessShareLock) block no change.
HOLDERS = text("""
    SELECT DISTINCT a.pid, a.usename, a.application_name, a.state, a.xact_start
    FROM pg_locks l
    JOIN pg_stat_activity a ON a.pid = l.pid
    LEFT JOIN pg_class c ON c.oid = l.relation
    WHERE l.granted AND l.mode <> 'AccessShareLock' AND a.pid <> pg_backend_pid() AND a.datname = current_database()
        AND (l.locktype = 'advisory' OR c.relname IN ('rollout', 'change', 'audit_entry', 'credit_freeze', 'notice'))
    ORDER BY a.xact_start
    LIMIT 3
""")


def describe(connection: Connection) -> str:
    """Name the sessions that hold locks on what a change of a rollout writes, the oldest transaction first."""
    if connection.dialect.name == "sqlite":
        return SQLITE
    rows = connection.execute(HOLDERS).all()
    sessions = [
        f"process {row.pid} of user {row.usename}"
        + (f" ({row.application_name})" if row.application_name else "")
        + (f", in a transaction since {row.xact_start:%Y-%m-%d %H:%M:%S} UTC" if row.xact_start else "")
        for row in rows
    ]
    return f"A lock is held by {'; by '.join(sessions)}." if sessions else UNKNOWN
