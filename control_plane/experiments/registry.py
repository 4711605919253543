"""The migrations of this application, by flag; packages above register theirs as they join."""

from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration
from control_plane.platform.extensions import AppState

MIGRATIONS = AppState[dict[str, Migration]]("migrations", dict)


def register_migration(migration: Migration) -> None:
    """Let alerts, gates and pages know `migration`; raise ValueError where its flag or its signals are taken."""
    known = _by_flag()
    if migration.flag in known:
        raise ValueError(f"{migration.flag} is the flag of another migration already.")
    for other in known.values():
        shared = {*migration.signals.all} & {*other.signals.all}
        if shared:
            raise ValueError(f"{other.flag} counts {min(shared)} already; give {migration.flag} signals of its own.")
    known[migration.flag] = migration


def migrations() -> tuple[Migration, ...]:
    """Return every registered migration."""
    return tuple(_by_flag().values())


def migration_of(flag: str) -> Migration | None:
    """Return the migration that `flag` steers; None for a flag without one."""
    return _by_flag().get(flag)


def names_of(flag: str) -> Migration:
    """Return the migration whose names sentences about `flag` use: the credits' for a flag without one."""
    return migration_of(flag) or CREDITS


def _by_flag() -> dict[str, Migration]:
    return MIGRATIONS.get()
