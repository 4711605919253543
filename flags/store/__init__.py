"""All SQL of the flags. Every function takes the caller's session first and runs in its transaction."""

from flags.store.connections import connections, delete_connections, put_connections
from flags.store.definitions import (
    clear,
    definitions,
    definitions_of,
    delete_definition,
    environments,
    put_definitions,
    put_segments,
    segments,
    switches,
)
from flags.store.directory import UserAttributes, beta_members, upsert_users, user, users, users_by_id
from flags.store.overrides import (
    Effect,
    StoredOverride,
    delete_override,
    expired_overrides,
    find_override,
    list_overrides,
    overrides,
    put_override,
)
from flags.store.revisions import directory_revision, flags_revision, routing_state
from flags.store.usage import add_report, delete_usage, measurements, usage

__all__ = [
    "Effect",
    "StoredOverride",
    "UserAttributes",
    "add_report",
    "beta_members",
    "clear",
    "connections",
    "definitions",
    "definitions_of",
    "delete_connections",
    "delete_definition",
    "delete_override",
    "delete_usage",
    "directory_revision",
    "environments",
    "expired_overrides",
    "find_override",
    "flags_revision",
    "list_overrides",
    "measurements",
    "overrides",
    "put_connections",
    "put_definitions",
    "put_override",
    "put_segments",
    "routing_state",
    "segments",
    "switches",
    "upsert_users",
    "usage",
    "user",
    "users",
    "users_by_id",
]
