"""Flags without a rollout, per environment, and the segments they refer to."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from control_plane.platform.db.database import dialect_insert, rowcount_of
from flags.models import FlagDefinition, FlagSegment
from flags.unleash.compiler import Wire

FIRST: Mapping[Any, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class StoredDefinition:
    """A feature of one environment, and by whom and when it became what it is."""

    environment: str
    feature: Wire
    version: int
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment of one environment, with its version."""

    environment: str
    wire: Wire
    version: int


def stored_definitions(session: Session, name: str) -> dict[str, StoredDefinition]:
    """Return the feature called `name` in each environment that has it, with its version."""
    table = FlagDefinition
    query = select(table.environment, table.feature, table.version, table.updated_at, table.updated_by)
    rows = session.execute(query.where(table.name == name).order_by(table.environment))
    return {row.environment: StoredDefinition(*row) for row in rows}


def add_definition(
    session: Session, environment: str, wire: Wire, *, actor: str, now: datetime, first: int = 1
) -> bool:
    """Store a feature that `environment` lacks, as the version `first`; False where it has one of that name."""
    row = {"environment": environment, "name": wire["name"], "feature": wire, "updated_at": now, "updated_by": actor}
    statement = dialect_insert(session, FlagDefinition).values(**row, version=first)
    return session.scalar(statement.on_conflict_do_nothing().returning(FlagDefinition.name)) is not None


def replace_definition(
    session: Session, environment: str, wire: Wire, *, expected_version: int, actor: str, now: datetime
) -> bool:
    """Store a feature in place of that of this version; False where there is another by now, or none."""
    table = FlagDefinition
    statement = (
        update(table)
        .where(table.environment == environment, table.name == wire["name"], table.version == expected_version)
        .values(feature=wire, version=expected_version + 1, updated_at=now, updated_by=actor)
    )
    return rowcount_of(session, statement) == 1


def segment_versions(session: Session, environment: str) -> dict[int, int]:
    """Return the version of each segment of `environment`."""
    query = select(FlagSegment.id, FlagSegment.version).where(FlagSegment.environment == environment)
    return {number: version for number, version in session.execute(query)}  # noqa: C416 - rows are no pairs


def replace_segment(session: Session, environment: str, wire: Wire, *, expected_version: int, first: int = 1) -> bool:
    """Store a segment in place of that of this version, 0 for none; False where there is another by now.

    `first` is the version of one that is added.
    """
    if not expected_version:
        row = {"environment": environment, "id": wire["id"], "segment": wire, "version": first}
        added = dialect_insert(session, FlagSegment).values(**row).on_conflict_do_nothing()
        return session.scalar(added.returning(FlagSegment.id)) is not None
    table = FlagSegment
    statement = (
        update(table)
        .where(table.environment == environment, table.id == wire["id"], table.version == expected_version)
        .values(segment=wire, version=expected_version + 1)
    )
    return rowcount_of(session, statement) == 1


def definitions(session: Session, environment: str) -> list[Wire]:
    """Return the features of `environment`, by name."""
    query = select(FlagDefinition.feature).where(FlagDefinition.environment == environment)
    return list(session.scalars(query.order_by(FlagDefinition.name)))


def segments(session: Session, environment: str) -> list[Wire]:
    """Return the segments of `environment`, by id."""
    query = select(FlagSegment.segment).where(FlagSegment.environment == environment).order_by(FlagSegment.id)
    return list(session.scalars(query))


def stored_segments(session: Session, environment: str | None = None) -> list[StoredSegment]:
    """Return the segments of `environment`, or of all, with their versions; by environment and id."""
    query = select(FlagSegment.environment, FlagSegment.segment, FlagSegment.version)
    if environment is not None:
        query = query.where(FlagSegment.environment == environment)
    return [StoredSegment(*row) for row in session.execute(query.order_by(FlagSegment.environment, FlagSegment.id))]


def delete_segment(session: Session, environment: str, number: int, *, version: int) -> bool:
    """Remove the segment of this version; False where there is another by now, or none."""
    table = FlagSegment
    key = (table.environment == environment, table.id == number, table.version == version)
    return rowcount_of(session, delete(table).where(*key)) == 1


def segment_names(session: Session) -> dict[tuple[str, int], str]:
    """Return the name of every segment by its environment and id."""
    rows = session.execute(select(FlagSegment.environment, FlagSegment.id, FlagSegment.segment))
    return {(row.environment, row.id): str(row.segment.get("name") or "") for row in rows}


def every_segment(session: Session) -> dict[str, list[Wire]]:
    """Return every segment, by its environment."""
    found: dict[str, list[Wire]] = {}
    query = select(FlagSegment.environment, FlagSegment.segment).order_by(FlagSegment.environment, FlagSegment.id)
    for environment, wire in session.execute(query):
        found.setdefault(environment, []).append(wire)
    return found


def definitions_of(session: Session, name: str, *, lock: bool = False) -> dict[str, Wire]:
    """Return the feature called `name` in each environment that has it.

    With `lock` nobody else changes it meanwhile.
    """
    query = select(FlagDefinition.environment, FlagDefinition.feature).where(FlagDefinition.name == name)
    query = query.order_by(FlagDefinition.environment)
    rows = session.execute(query.with_for_update() if lock else query)
    return {environment: feature for environment, feature in rows}  # noqa: C416 - rows are no pairs to the types


def every_definition(session: Session) -> dict[tuple[str, str], Wire]:
    """Return every feature by its environment and name."""
    query = select(FlagDefinition.environment, FlagDefinition.name, FlagDefinition.feature)
    rows = session.execute(query.order_by(FlagDefinition.environment, FlagDefinition.name))
    return {(environment, name): feature for environment, name, feature in rows}


def features_by_name(session: Session) -> dict[str, dict[str, Wire]]:
    """Return every feature by name, in each environment that has it."""
    found: dict[str, dict[str, Wire]] = {}
    for (environment, name), feature in every_definition(session).items():
        found.setdefault(name, {})[environment] = feature
    return dict(sorted(found.items()))


def changed_at(session: Session) -> dict[str, datetime]:
    """Return every feature by name, and when it was last changed in any environment."""
    query = select(FlagDefinition.name, func.max(FlagDefinition.updated_at)).group_by(FlagDefinition.name)
    return {name: at for name, at in session.execute(query)}  # noqa: C416 - rows are no pairs to the types


def switches(session: Session) -> dict[str, dict[str, bool]]:
    """Return every feature by name, and in which environments it is on."""
    query = select(FlagDefinition.name, FlagDefinition.environment, FlagDefinition.feature)
    found: dict[str, dict[str, bool]] = {}
    for name, environment, feature in session.execute(query.order_by(FlagDefinition.name, FlagDefinition.environment)):
        found.setdefault(name, {})[environment] = bool(feature["enabled"])
    return found


def put_definitions(
    session: Session,
    environment: str,
    features: Iterable[Wire],
    *,
    actor: str,
    now: datetime,
    first: Mapping[str, int] = FIRST,
) -> None:
    """Store features, each in place of the one of its name.

    `first` are the versions of those that `environment` lacks, by name, where they are not 1.
    """
    written = {"environment": environment, "updated_at": now, "updated_by": actor}
    rows = [
        {**written, "name": wire["name"], "feature": wire, "version": first.get(wire["name"], 1)} for wire in features
    ]
    if rows:
        statement = dialect_insert(session, FlagDefinition.__table__)
        changed = {name: statement.excluded[name] for name in ("feature", "updated_at", "updated_by")}
        again = {**changed, "version": FlagDefinition.version + 1}
        keys = ["environment", "name"]
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=again), rows)


def put_segments(
    session: Session, environment: str, wires: Iterable[Wire], *, first: Mapping[int, int] = FIRST
) -> None:
    """Store segments, each in place of the one of its id; `first` as of features."""
    rows = [
        {"environment": environment, "id": wire["id"], "segment": wire, "version": first.get(wire["id"], 1)}
        for wire in wires
    ]
    if rows:
        statement = dialect_insert(session, FlagSegment.__table__)
        changed = {"segment": statement.excluded.segment, "version": FlagSegment.version + 1}
        session.execute(statement.on_conflict_do_update(index_elements=["environment", "id"], set_=changed), rows)


def delete_definition(session: Session, environment: str, name: str, *, version: int | None = None) -> bool:
    """Remove a feature, or that of this version, from `environment`; False when it was not there."""
    key = [FlagDefinition.environment == environment, FlagDefinition.name == name]
    if version is not None:
        key.append(FlagDefinition.version == version)
    return rowcount_of(session, delete(FlagDefinition).where(*key)) == 1


def clear(session: Session, environment: str, *, but: Collection[str], but_segments: Collection[int]) -> None:
    """Remove the features and segments of `environment` but those with these names and numbers."""
    # Chosen here and not by the database, which takes only so many values in one statement.
    for name in {wire["name"] for wire in definitions(session, environment)} - {*but}:
        delete_definition(session, environment, name)
    for number in segment_versions(session, environment).keys() - {*but_segments}:
        session.execute(delete(FlagSegment).where(FlagSegment.environment == environment, FlagSegment.id == number))
