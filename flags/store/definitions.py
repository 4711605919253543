"""Flags without a rollout, per environment, and the segments they refer to."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from control_plane.platform.db.database import dialect_insert, rowcount_of
from flags.models import FlagDefinition, FlagSegment
from flags.unleash.compiler import Wire


def definitions(session: Session, environment: str) -> list[Wire]:
    """The features of `environment`, by name."""
    query = select(FlagDefinition.feature).where(FlagDefinition.environment == environment)
    return list(session.scalars(query.order_by(FlagDefinition.name)))


def segments(session: Session, environment: str) -> list[Wire]:
    """The segments of `environment`, by id."""
    query = select(FlagSegment.segment).where(FlagSegment.environment == environment).order_by(FlagSegment.id)
    return list(session.scalars(query))


def definitions_of(session: Session, name: str) -> dict[str, Wire]:
    """The feature called `name` in each environment that has it."""
    query = select(FlagDefinition.environment, FlagDefinition.feature).where(FlagDefinition.name == name)
    rows = session.execute(query.order_by(FlagDefinition.environment))
    return {environment: feature for environment, feature in rows}  # noqa: C416 - rows are no pairs to the types


def every_definition(session: Session) -> dict[tuple[str, str], Wire]:
    """Every feature by its environment and name."""
    query = select(FlagDefinition.environment, FlagDefinition.name, FlagDefinition.feature)
    rows = session.execute(query.order_by(FlagDefinition.environment, FlagDefinition.name))
    return {(environment, name): feature for environment, name, feature in rows}


def changed_at(session: Session) -> dict[str, datetime]:
    """Every feature by name, and when it was last changed in any environment."""
    query = select(FlagDefinition.name, func.max(FlagDefinition.updated_at)).group_by(FlagDefinition.name)
    return {name: at for name, at in session.execute(query)}  # noqa: C416 - rows are no pairs to the types


def switches(session: Session) -> dict[str, dict[str, bool]]:
    """Every feature by name, and in which environments it is on."""
    query = select(FlagDefinition.name, FlagDefinition.environment, FlagDefinition.feature)
    found: dict[str, dict[str, bool]] = {}
    for name, environment, feature in session.execute(query.order_by(FlagDefinition.name, FlagDefinition.environment)):
        found.setdefault(name, {})[environment] = bool(feature["enabled"])
    return found


def put_definitions(session: Session, environment: str, features: Iterable[Wire], *, actor: str, now: datetime) -> None:
    """Store features, each in place of the one of its name."""
    rows = [
        {"environment": environment, "name": wire["name"], "feature": wire, "updated_at": now, "updated_by": actor}
        for wire in features
    ]
    if rows:
        statement = dialect_insert(session, FlagDefinition.__table__)
        changed = {name: statement.excluded[name] for name in ("feature", "updated_at", "updated_by")}
        keys = ["environment", "name"]
        session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), rows)


def put_segments(session: Session, environment: str, wires: Iterable[Wire]) -> None:
    """Store segments, each in place of the one of its id."""
    rows = [{"environment": environment, "id": wire["id"], "segment": wire} for wire in wires]
    if rows:
        statement = dialect_insert(session, FlagSegment.__table__)
        changed = {"segment": statement.excluded.segment}
        session.execute(statement.on_conflict_do_update(index_elements=["environment", "id"], set_=changed), rows)


def delete_definition(session: Session, environment: str, name: str) -> bool:
    """Remove a feature from `environment`; False when it was not there."""
    key = (FlagDefinition.environment == environment, FlagDefinition.name == name)
    return rowcount_of(session, delete(FlagDefinition).where(*key)) == 1


def clear(session: Session, environment: str) -> None:
    """Remove every feature and segment of `environment`."""
    session.execute(delete(FlagDefinition).where(FlagDefinition.environment == environment))
    session.execute(delete(FlagSegment).where(FlagSegment.environment == environment))


def environments(session: Session) -> list[str]:
    """The environments that have features of their own."""
    return list(session.scalars(select(FlagDefinition.environment).distinct().order_by(FlagDefinition.environment)))
