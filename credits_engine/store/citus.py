"""What a database with Citus says of how far it is spread, and the spreading itself."""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.orm import Session

from control_plane.platform.db.database import execute_core, is_postgresql
from credits_engine.distribution.citus import DistributionState, Function

IS_INSTALLED = text("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')")
IS_SUPERUSER = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
TABLES = text("SELECT CAST(logicalrelid AS text) FROM pg_dist_partition")
TRIGGERS = text(
    "SELECT CAST(tgrelid AS regclass), tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE NOT tgisinternal AND c.relnamespace = CAST(current_schema() AS regnamespace)"
)
OURS = (
    "FROM pg_proc p WHERE pronamespace = CAST(current_schema() AS regnamespace) AND"
    " (proname LIKE 'credit\\_%' OR proname IN ('consume_credits', 'get_or_create_active_period',"
    " 'refuse_journal_change', 'refuse_pack_entry_change'))"
)
SIGNATURE = "CAST(CAST(p.oid AS regprocedure) AS text) AS signature"
FUNCTIONS = text(f"SELECT proname, {SIGNATURE}, proconfig, false AS is_distributed, false AS has_account {OURS}")
DISTRIBUTED_FUNCTIONS = text(
    f"SELECT proname, {SIGNATURE}, proconfig, o.objid IS NOT NULL AS is_distributed,"
    " o.distribution_argument_index IS NOT NULL AS has_account "
    + OURS.replace(
        "WHERE",
        "LEFT JOIN pg_catalog.pg_dist_object o ON o.classid = CAST('pg_proc' AS regclass) AND o.objid = p.oid WHERE",
    )
)

IS_DISTRIBUTED = text("SELECT to_regproc('credit_is_coordinator') IS NOT NULL")
"""Whether `rollout db distribute` was here."""


def is_database_distributed(session: Session) -> bool:
    """Return whether the rows of accounts lie on several databases."""
    return is_postgresql(session) and bool(execute_core(session, IS_DISTRIBUTED).scalar_one())


def is_installed(connection: Connection) -> bool:
    """Return whether the database has Citus."""
    return bool(connection.scalar(IS_INSTALLED))


def is_superuser(connection: Connection) -> bool:
    """Return whether the role may create triggers on shards."""
    return bool(connection.scalar(IS_SUPERUSER))


def state(connection: Connection) -> DistributionState:
    """Read how far the database is spread; without Citus not at all."""
    has_citus = is_installed(connection)
    functions = connection.execute(DISTRIBUTED_FUNCTIONS if has_citus else FUNCTIONS)
    return DistributionState(
        frozenset(connection.scalars(TABLES)) if has_citus else frozenset(),
        frozenset((str(row[0]), row[1]) for row in connection.execute(TRIGGERS)),
        [
            Function(row.proname, row.signature, bool(row.proconfig), row.is_distributed, row.has_account)
            for row in functions
        ],
    )


def execute(connection: Connection, statements: Iterable[str]) -> None:
    """Execute each in a transaction of its own, however long it takes."""
    connection.execution_options(isolation_level="AUTOCOMMIT")
    connection.detach()  # nobody gets it from the pool afterwards, without a timeout
    for timeout in ("lock_timeout", "statement_timeout"):
        connection.execute(text(f"SET {timeout} = 0"))
    for statement in statements:
        connection.exec_driver_sql(statement.replace("%", "%%"))
