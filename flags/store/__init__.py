"""All SQL of the flags. Every function takes the caller's session first and runs in its transaction."""

from flags.store.directory import UserAttributes, beta_members, upsert_users, user
from flags.store.overrides import Effect, delete_override, overrides, put_override
from flags.store.revisions import directory_revision, flags_revision, routing_state

__all__ = [
    "Effect",
    "UserAttributes",
    "beta_members",
    "delete_override",
    "directory_revision",
    "flags_revision",
    "overrides",
    "put_override",
    "routing_state",
    "upsert_users",
    "user",
]
