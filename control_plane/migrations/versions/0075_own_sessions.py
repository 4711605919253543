"""Where and in what browser each session began, and under which version of its person: people see their own."""

import sqlalchemy as sa
from alembic import op

from control_plane.migrations.table_locks import lock_exclusively

revision = "0075"
down_revision = "0074"

COLUMNS = ("address", "browser", "version")


def upgrade() -> None:
    _lock()
    op.add_column("person_session", sa.Column("address", sa.Text, nullable=False, server_default=""))
    op.add_column("person_session", sa.Column("browser", sa.Text, nullable=False, server_default=""))
    op.add_column("person_session", sa.Column("version", sa.Integer, nullable=False, server_default="0"))
    op.execute(
        "UPDATE person_session SET version ="
        " (SELECT session_version FROM person WHERE person.id = person_session.person_id)"
    )


def downgrade() -> None:
    _lock()
    for name in COLUMNS:
        op.drop_column("person_session", name)


def _lock() -> None:
    if op.get_bind().dialect.name == "postgresql":
        lock_exclusively(op.get_bind(), "person_session")
