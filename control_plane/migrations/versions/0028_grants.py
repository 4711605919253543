"""Roles approver and admin, grants for one flag or environment, tokens with a role, second factors, identities.

Whoever was owner managed people and tokens too, so they become admin; a token that opened everything still does.
"""

import sqlalchemy as sa
from alembic import op

from control_plane.platform.db.database import UtcDateTime
from control_plane.platform.models import RowId

revision = "0028"
down_revision = "0027"

CONSTRAINT = "ck_person_role"
BEFORE = ("viewer", "operator", "owner")
AFTER = ("viewer", "operator", "approver", "owner", "admin")


def upgrade() -> None:
    _allow_roles(AFTER, BEFORE)
    op.execute("UPDATE person SET role = 'admin' WHERE role = 'owner'")
    for name in ("grants", "recovery_codes"):
        op.add_column("person", sa.Column(name, sa.JSON, nullable=False, server_default="[]"))
    op.add_column("person", sa.Column("totp_secret", sa.Text))
    op.add_column("person", sa.Column("totp_step", sa.BigInteger))
    op.add_column("person", sa.Column("identity", sa.Text))
    op.create_index("ix_person_identity", "person", ["identity"], unique=True)
    op.add_column("api_token", sa.Column("role", sa.Text))
    op.add_column("api_token", sa.Column("flags", sa.JSON, nullable=False, server_default="[]"))
    op.execute("UPDATE api_token SET role = 'admin' WHERE type = 'admin'")


def downgrade() -> None:
    # The version below takes every admin token for one that opens everything.
    op.execute(
        "UPDATE api_token SET revoked_at = coalesce(revoked_at, created_at) WHERE type = 'admin' "
        "AND (role <> 'admin' OR environment <> '*' OR CAST(flags AS text) <> '[]')"
    )
    for name in ("flags", "role"):
        op.drop_column("api_token", name)
    op.drop_index("ix_person_identity", "person")
    for name in ("identity", "totp_step", "totp_secret", "recovery_codes", "grants"):
        op.drop_column("person", name)
    # An owner of the version below manages people too, which nobody gave to those who are owners only.
    op.execute("UPDATE person SET role = 'operator' WHERE role IN ('approver', 'owner')")
    _allow_roles((*BEFORE, "admin"), AFTER)
    op.execute("UPDATE person SET role = 'owner' WHERE role = 'admin'")
    _allow_roles(BEFORE, (*BEFORE, "admin"))


def _allow_roles(roles: tuple[str, ...], before: tuple[str, ...]) -> None:
    condition = "role IN ({})".format(", ".join(map(repr, roles)))
    if op.get_bind().dialect.name == "postgresql":
        op.drop_constraint(CONSTRAINT, "person", type_="check")
        op.create_check_constraint(CONSTRAINT, "person", condition)
        return
    # SQLite changes no constraint in place, and drops no table that another one refers to: sessions step aside.
    sessions = [dict(row) for row in op.get_bind().execute(sa.text("SELECT * FROM person_session")).mappings()]
    op.execute("DELETE FROM person_session")
    with op.batch_alter_table("person", recreate="always", copy_from=_person(before)) as batch:
        batch.drop_constraint(CONSTRAINT, type_="check")
        batch.create_check_constraint(CONSTRAINT, sa.text(condition))
    for row in sessions:
        statement = "INSERT INTO person_session (id, person_id, started_at) VALUES (:id, :person_id, :started_at)"
        op.get_bind().execute(sa.text(statement), row)


def _person(roles: tuple[str, ...]) -> sa.Table:
    """Return the table as the versions before have it."""
    return sa.Table(
        "person",
        sa.MetaData(),
        sa.Column("id", RowId, primary_key=True),
        sa.Column("username", sa.Text, nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("password_hash", "role")),
        sa.Column("session_version", sa.Integer, nullable=False),
        sa.Column("created_at", UtcDateTime, nullable=False),
        sa.Column("disabled_at", UtcDateTime),
        sa.CheckConstraint("role IN ({})".format(", ".join(map(repr, roles))), name=CONSTRAINT),
    )
