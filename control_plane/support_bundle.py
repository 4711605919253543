"""What somebody needs who helps an operator: versions, settings, readiness and rollouts, without secrets or people.

Of settings, numbers and switches are shown, and texts that are listed here; of any other, only whether it is set.
"""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from datetime import datetime
from importlib import metadata
from io import BytesIO
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

from sqlalchemy import make_url
from sqlalchemy.orm import Session

from control_plane import migrations, rollouts
from control_plane.platform import clock, private_files
from control_plane.platform.db.database import current_time, db, read_only
from control_plane.platform.extensions import AppState
from control_plane.platform.http import health
from control_plane.platform.runtime import leases
from control_plane.platform.runtime.jobs import LEADER
from control_plane.platform.settings import Settings, current
from control_plane.rollouts import store

DISTRIBUTION = "rollout-control-plane"
SHOWN = frozenset({"environment", "host", "log_format", "second_factor_from", "sqlite_synchronous", "stripe_disputes"})
"""Texts that say nothing of whose installation it is."""

Section = Callable[[Session, datetime], object]
"""A part of the bundle, as it goes into a JSON file."""
SECTIONS = AppState[dict[str, Section]]("support_sections", dict)


def register_section(name: str, section: Section) -> None:
    """Add a file called `name`.json to each bundle; nothing in it may name a person or hold a secret."""
    SECTIONS.get()[name] = section


def write(path: Path, now: datetime) -> int:
    """Write the bundle to `path`, for this user alone; returns its size in bytes.

    A part that can't be had, because the database is away, says so in its place.
    """
    private_files.make_private(path)
    found = BytesIO()
    with ZipFile(found, "w", ZIP_DEFLATED) as bundle:
        for name, document in _documents(now):
            bundle.writestr(f"{name}.json", json.dumps(document, indent=1, default=str))
    path.write_bytes(found.getvalue())
    return path.stat().st_size


def visible_settings(settings: Settings) -> dict[str, object]:
    """Return the settings by name, with the values that may be seen."""
    return {field.name: _visible(field.name, getattr(settings, field.name)) for field in fields(settings)}


def _visible(name: str, value: object) -> object:
    if value is None or isinstance(value, bool | int | float) or name in SHOWN:
        return value
    return "set" if value else "unset"


def _documents(now: datetime) -> Iterator[tuple[str, object]]:
    yield "versions", {"at": now, **_versions()}
    yield "settings", visible_settings(current())
    yield "readiness", health.checks()
    sections: Mapping[str, Section] = {"database": _database, "rollouts": _rollouts}
    for name, section in {**sections, **SECTIONS.get()}.items():
        try:
            with read_only() as session:
                yield name, section(session, now)
        except Exception as error:  # it is wanted most when something is broken
            yield name, {"failed": type(error).__name__}


def _versions() -> dict[str, object]:
    installed = {each.name: each.version for each in metadata.distributions() if each.name}
    return {
        "program": installed.get(DISTRIBUTION),
        "schema": migrations.head(),
        "python": sys.version,
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "packages": dict(sorted(installed.items())),
    }


def _database(session: Session, now: datetime) -> dict[str, object]:
    lease = leases.find(session, LEADER)
    return {
        "kind": make_url(current().database_url).get_backend_name(),
        "version": ".".join(map(str, session.connection().dialect.server_version_info or ())),
        "schema": migrations.current(session),
        "leader_until": lease and lease.expires_at,
        "has_leader": bool(lease and lease.expires_at > now),
        "pool": db.engine.pool.status(),
        "behind_pooler": current().has_pooler,
        "host_clock_ahead_seconds": round((clock.host_time() - current_time(session)).total_seconds(), 1),
    }


def _rollouts(session: Session, now: datetime) -> list[dict[str, object]]:
    return [
        {
            "flag": each.flag,
            "state": each.state.value,
            "phase": each.phase.name,
            "percentage": each.percentage,
            "attempt": each.attempt,
            "version": each.version,
            "gates": {gate.name: gate.status.value for gate in rollouts.gates(session, each, now)},
        }
        for each in store.load_all(session)
    ]
