"""The migrations of this application, by flag: packages above register theirs as they join, services' are declared."""

from collections.abc import Callable, Iterable

from flask import current_app

from control_plane.experiments.migration import Migration, SideNames, side_names
from control_plane.platform.extensions import AppState
from control_plane.rollout_names import environment_of, flag_of

MIGRATIONS = AppState[dict[str, Migration]]("migrations", dict)
DECLARED = AppState[Callable[[], Iterable[Migration]]]("declared_migrations", lambda: tuple)


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


def set_declared_migrations(declared: Callable[[], Iterable[Migration]]) -> None:
    """Say where the migrations that services run themselves are read; inside an application context."""
    DECLARED.set(current_app, declared)


def registered_migrations() -> tuple[Migration, ...]:
    """Return every migration that this application runs itself."""
    return tuple(_by_flag().values())


def declared_migrations() -> tuple[Migration, ...]:
    """Return every migration that a service runs and reports."""
    return tuple(DECLARED.get()())


def migrations() -> tuple[Migration, ...]:
    """Return every migration."""
    return (*registered_migrations(), *declared_migrations())


def migration_of(flag: str) -> Migration | None:
    """Return the migration that a rollout of this name steers; None for a flag without one."""
    environment = environment_of(flag)
    found = next((each for each in migrations() if each.flag == flag_of(flag)), None)
    return found.in_environment(environment) if found and environment else found


def names_of(flag: str) -> SideNames:
    """Return the names that sentences about a rollout use."""
    return side_names(migration_of(flag))


def _by_flag() -> dict[str, Migration]:
    return MIGRATIONS.get()
