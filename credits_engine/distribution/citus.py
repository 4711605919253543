"""The statements that spread a PostgreSQL with Citus over its workers: tables, then functions, then triggers.

Each commits by itself, and what an earlier attempt did is left out, so an attempt that ended early is simply repeated.
A trigger runs on the shards: one that looks at a row refuses it there, one that writes elsewhere can't.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from credits_engine.distribution.tables import Kind, Placement

UNSAFE_TRIGGERS = "SET citus.enable_unsafe_triggers = on"
FIRST = "directory_user"
"""The table beside whose rows all others of an account lie."""
REFERRED_TO = ("credit_kind", "credit_rollback_report")
"""Tables that others refer to."""
BY_ACCOUNT = {"credit_answer": "of_user", "credit_operate": "of_user"}
"""Functions that run where the account is, and the parameter that names it."""
COORDINATOR = "credit_is_coordinator"
IS_COORDINATOR = """
CREATE FUNCTION credit_is_coordinator() RETURNS boolean LANGUAGE sql STABLE AS
    $$ SELECT groupid = 0 FROM pg_dist_local_group $$
""".strip()
ANSWER_MANY = "credit_answer_many"
ANSWER_NONE = (
    "CREATE OR REPLACE FUNCTION credit_answer_many(users text[], keys text[], amounts text[], actors text[], "
    "moments timestamptz[], buckets integer[], turns integer[], in_environment text, override boolean) RETURNS json "
    "LANGUAGE sql IMMUTABLE AS $$ SELECT '[]'::json $$"
)
"""Operations of several accounts share no transaction: each is asked alone, where its account is."""
TRIGGERS: Mapping[str, tuple[str, str]] = {
    "credit_journal_no_change": (
        "credit_journal",
        "BEFORE UPDATE OR DELETE ON credit_journal FOR EACH ROW EXECUTE FUNCTION refuse_journal_change()",
    ),
    "credit_journal_no_truncate": (
        "credit_journal",
        "BEFORE TRUNCATE ON credit_journal FOR EACH STATEMENT EXECUTE FUNCTION refuse_journal_change()",
    ),
    "credit_pack_entry_no_change": (
        "credit_pack_entry",
        "BEFORE UPDATE OR DELETE ON credit_pack_entry FOR EACH ROW EXECUTE FUNCTION refuse_pack_entry_change()",
    ),
    "credit_pack_entry_no_truncate": (
        "credit_pack_entry",
        "BEFORE TRUNCATE ON credit_pack_entry FOR EACH STATEMENT EXECUTE FUNCTION refuse_pack_entry_change()",
    ),
    "credit_route_kept": (
        "rollout",
        f"AFTER INSERT OR UPDATE ON rollout FOR EACH ROW WHEN ({COORDINATOR}()) EXECUTE FUNCTION credit_route_kept()",
    ),
}
"""The triggers that a distributed database has, and on which table."""


@dataclass(frozen=True, slots=True)
class Function:
    """A function of ours: how PostgreSQL writes it, and what Citus knows of it."""

    name: str
    signature: str
    has_settings: bool = False
    is_distributed: bool = False
    has_account: bool = False


@dataclass(frozen=True, slots=True)
class DistributionState:
    """How far a database is spread: the tables that are, the triggers of each table, and the functions."""

    tables: Collection[str] = ()
    triggers: Collection[tuple[str, str]] = ()
    """Table and name."""
    functions: Collection[Function] = ()


def statements(placements: Iterable[Placement], state: DistributionState) -> list[str]:
    """Return what is left to do. The tables are locked while their rows are moved, so nobody should be at work."""
    left = list(_statements(placements, state))
    return [UNSAFE_TRIGGERS, *left] if left else []


def _statements(placements: Iterable[Placement], state: DistributionState) -> Iterator[str]:
    found = [each for each in placements if each.kind is not Kind.LOCAL and each.table not in state.tables]
    moved = {each.table for each in found}
    # Before the tables: Citus copies no trigger, and some would run while rows are moved.
    for table, name in sorted(state.triggers):
        if table in moved:
            yield f"DROP TRIGGER {name} ON {table}"
    for each in sorted(found, key=_order):
        yield _create(each)
    functions = {each.signature: each for each in state.functions}
    if f"{COORDINATOR}()" not in functions:
        yield IS_COORDINATOR
        functions[f"{COORDINATOR}()"] = Function(COORDINATOR, f"{COORDINATOR}()")
    for _, function in sorted(functions.items()):
        yield from _distribute(function)
    for name, (table, rest) in TRIGGERS.items():
        if table in moved or (table, name) not in state.triggers:
            yield f"CREATE TRIGGER {name} {rest}"


def _order(placed: Placement) -> tuple[bool, bool, bool, str]:
    """Put copies first, for rows refer to them, and of both kinds those first that others need."""
    return placed.kind is Kind.DISTRIBUTED, placed.table != FIRST, placed.table not in REFERRED_TO, placed.table


def _create(placed: Placement) -> str:
    if placed.kind is Kind.REFERENCE:
        return f"SELECT create_reference_table('{placed.table}')"
    beside = "" if placed.table == FIRST else f", colocate_with => '{FIRST}'"
    return f"SELECT create_distributed_table('{placed.table}', '{placed.column}'{beside})"


def _distribute(function: Function) -> Iterator[str]:
    if function.has_settings and function.name == ANSWER_MANY:
        yield ANSWER_NONE
    elif function.has_settings:
        # With one plan for every account Citus can't tell where to go.
        yield f"ALTER FUNCTION {function.signature} RESET ALL"
    account = BY_ACCOUNT.get(function.name)
    if account and not function.has_account:
        yield f"SELECT create_distributed_function('{function.signature}', '{account}', colocate_with => '{FIRST}')"
    elif not account and not function.is_distributed:
        yield f"SELECT create_distributed_function('{function.signature}')"
