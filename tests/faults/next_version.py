"""What a version of the schema after today's may add, and how an installation is brought to it."""

from pathlib import Path

from alembic import command
from alembic.config import Config

from control_plane import migrations
from control_plane.platform.db import deadlocks
from control_plane.platform.db.database import db

NEXT_VERSION = """
import sqlalchemy as sa
from alembic import op

revision = "9998"
down_revision = {newest!r}


def upgrade():
    # In the order in which an operation takes them, or the two would wait for each other.
    op.add_column("usage_counters", sa.Column("region", sa.Text, nullable=False, server_default="eu"))
    op.create_index("ix_usage_counters_region", "usage_counters", ["region"])
    op.add_column("credit_journal", sa.Column("region", sa.Text))
    op.create_table("credit_region", sa.Column("name", sa.Text, primary_key=True))
"""


def upgrade_to_next_version(folder: Path) -> None:
    """Add columns of the two largest tables, an index and a table, in an application's context.

    As `migrations.upgrade` does it: again, where PostgreSQL ended it so that operations could go on.
    """
    versions = Path(migrations.__file__).parent / "versions"
    (folder / "9998_region.py").write_text(NEXT_VERSION.format(newest=migrations.head()))
    config = Config()
    config.set_main_option("script_location", str(versions.parent))
    config.set_main_option("path_separator", "os")
    config.set_main_option("version_locations", f"{versions}:{folder}")

    def once() -> None:
        with db.engine.connect() as connection, connection.begin():
            config.attributes["connection"] = connection
            command.upgrade(config, "9998")

    deadlocks.retry(once, migrations.ATTEMPTS)
