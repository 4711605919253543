"""PostgreSQL's functions as files, one each, in a folder of the version that wrote them."""

from pathlib import Path

from alembic import op

FOLDER = Path(__file__).parent / "functions"


def create_function(name: str, version: str) -> None:
    """Create `name` as `version` wrote it, in place of one with the same arguments if there is one."""
    source = (FOLDER / version / f"{name}.sql").read_text(encoding="utf-8")
    replacing = source.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
    op.get_bind().exec_driver_sql(replacing.replace("%", "%%"))
