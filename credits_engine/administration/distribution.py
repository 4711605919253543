"""A database spread over the workers of Citus: said in the audit trail, then done, statement by statement."""

from collections.abc import Sequence

from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.db.database import transaction
from credits_engine.store import citus

ACTION, SUBJECT = "database.distribute", "database"


class DistributionError(RuntimeError):
    """The database can't be spread so; the message says why."""


def distribute(connection: Connection, statements: Sequence[str], change: ChangeContext) -> None:
    """Execute what is left to do, on a connection of its own. Raises DistributionError where Citus refuses."""
    if not statements:
        return
    if not citus.is_superuser(connection):
        raise DistributionError("Triggers on shards are for superusers to create; connect as one for this command.")
    connection.rollback()
    with transaction() as session:
        audit.record(session, change, action=ACTION, subject=SUBJECT, after={"statements": list(statements)})
    try:
        citus.execute(connection, statements)
    except DBAPIError as error:
        refusal = f"{error.statement}: {error.orig}".strip()
        raise DistributionError(f"This was refused, and what came before it stays done; {refusal}") from error
