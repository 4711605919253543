"""The SDK instances of every process, as they last made themselves heard."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import dialect_insert, rowcount_of
from flags.models import ConnectedClient
from flags.usage.connections import Connection, Mode

FIELDS = ("environment", "app_name", "instance_id", "sdk", "mode", "revision_id", "connected_at", "seen_at")


def put_connections(session: Session, connections: Collection[Connection]) -> None:
    """Store how these instances stand, each in place of what was known of it."""
    rows = [
        {"connection_id": connection.id} | {name: getattr(connection, name) for name in FIELDS}
        for connection in sorted(connections, key=lambda connection: connection.id)
    ]
    if rows:
        statement = dialect_insert(session, ConnectedClient.__table__)
        # The same instance may have called several processes: the latest one speaks for it.
        changed = {name: statement.excluded[name] for name in FIELDS if name != "connected_at"}
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["connection_id"],
                set_=changed,
                where=ConnectedClient.seen_at <= statement.excluded.seen_at,
            ),
            rows,
        )


def connections(session: Session, *, since: datetime, environment: str | None = None) -> list[Connection]:
    """Return the instances heard of since then, by application, the longest connected first."""
    query = select(ConnectedClient).where(ConnectedClient.seen_at >= since)
    if environment is not None:
        query = query.where(ConnectedClient.environment == environment)
    rows = session.scalars(query.order_by(ConnectedClient.app_name, ConnectedClient.connected_at))
    return [_connection(row) for row in rows]


def delete_connections(session: Session, *, before: datetime) -> int:
    """Forget the instances that have not been heard of since then; returns how many."""
    return rowcount_of(session, delete(ConnectedClient).where(ConnectedClient.seen_at < before))


def _connection(row: ConnectedClient) -> Connection:
    return Connection(
        id=row.connection_id,
        environment=row.environment,
        app_name=row.app_name,
        instance_id=row.instance_id,
        sdk=row.sdk,
        mode=Mode(row.mode),
        revision_id=row.revision_id,
        connected_at=row.connected_at,
        seen_at=row.seen_at,
    )
