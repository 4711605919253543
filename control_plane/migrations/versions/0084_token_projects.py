"""The projects that a token of an SDK or a browser is held to."""

import sqlalchemy as sa
from alembic import op

revision = "0084"
down_revision = "0081"


def upgrade() -> None:
    op.add_column("api_token", sa.Column("projects", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    # To an earlier version such a token would show everything.
    op.execute(
        "UPDATE api_token SET revoked_at = coalesce(revoked_at, created_at) WHERE CAST(projects AS text) <> '[]'"
    )
    op.drop_column("api_token", "projects")
