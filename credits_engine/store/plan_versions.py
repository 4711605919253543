"""Rows of plan versions, and the rows of the catalogue by which PostgreSQL's functions decide."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import Table, func, insert, literal, or_, select, text
from sqlalchemy.orm import Session

from control_plane.platform.db.database import is_postgresql, rowcount_of
from control_plane.platform.db.fastpath import CompiledStatement
from credits_engine.catalogue_models import AddedCreditKind, CreditKindRow, CreditPlanVersion
from credits_engine.engines.added_kinds import AddedKind
from credits_engine.engines.amounts import Amounts, Limit, Limits
from credits_engine.engines.credit_plan import SEATS_MAX, CreditPlan
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.plans import Catalogue, UnknownPlanError
from credits_engine.engines.rollovers import Rollover, Rollovers
from credits_engine.store.tables import JOURNAL, USERS

VERSIONS = cast(Table, CreditPlanVersion.__table__)
ADDED_KINDS = cast(Table, AddedCreditKind.__table__)
PLACES = cast(Table, CreditKindRow.__table__)
ROWS_AT_ONCE = 5_000
EVERY = CompiledStatement(select(VERSIONS).order_by(VERSIONS.c.id))
EVERY_KIND = CompiledStatement(select(ADDED_KINDS).order_by(ADDED_KINDS.c.id))
IN_ORDER = CompiledStatement(select(PLACES.c.name).order_by(PLACES.c.position))
PLANS = text("SELECT called, name, rank FROM credit_plan")
LIMITS = text("SELECT plan, kind, v2, legacy FROM credit_limit")
PUT_PLAN = text(
    "INSERT INTO credit_plan (called, name, rank) VALUES (:called, :name, :rank) "
    "ON CONFLICT (called) DO UPDATE SET name = excluded.name, rank = excluded.rank"
)
ADD_PLAN = text("INSERT INTO credit_plan (called, name, rank) VALUES (:called, :name, :rank) ON CONFLICT DO NOTHING")
PUT_LIMIT = text(
    "INSERT INTO credit_limit (plan, kind, v2, legacy) VALUES (:plan, :kind, :v2, :legacy) "
    "ON CONFLICT (plan, kind) DO UPDATE SET v2 = excluded.v2, legacy = excluded.legacy"
)

GRANT = text(
    """
UPDATE credit_plan SET kinds = (SELECT array_agg(k.name ORDER BY k.position) FROM credit_kind k),
    v2 = (SELECT array_agg(CASE WHEN l.kind IS NULL THEN 0 ELSE l.v2 END ORDER BY k.position)
        FROM credit_kind k LEFT JOIN credit_limit l ON l.kind = k.name AND l.plan = credit_plan.name),
    legacy = (SELECT array_agg(CASE WHEN l.kind IS NULL THEN 0 ELSE l.legacy END ORDER BY k.position)
        FROM credit_kind k LEFT JOIN credit_limit l ON l.kind = k.name AND l.plan = credit_plan.name)
"""
)
"""What triggers do where the database is one: on several, a copy has none that writes elsewhere."""


class Author(NamedTuple):
    """A person, and when they added something."""

    name: str
    at: datetime


def every(session: Session) -> tuple[PlanVersion, ...]:
    """Return every version that was added, in that order."""
    rows = EVERY.fetch_all(session)
    return tuple(
        PlanVersion(
            row.plan,
            row.title,
            row.starts_at,
            _read(row.limits),
            row.above,
            row.grace_days,
            row.per_seat,
            _read_rollovers(row.rollovers),
        )
        for row in rows
    )


def add(session: Session, version: PlanVersion, *, now: datetime, by: str) -> None:
    """Add a version."""
    row = {
        "plan": version.plan,
        "title": version.title,
        "above": version.above,
        "limits": _written(version.limits),
        "grace_days": version.grace_days,
        "per_seat": version.per_seat,
        "rollovers": _written_rollovers(version.rollovers),
    }
    session.execute(insert(VERSIONS).values(**row, starts_at=version.starts_at, added_at=now, added_by=by))


def every_kind(session: Session) -> tuple[AddedKind, ...]:
    """Return every kind that was added, in that order."""
    rows = EVERY_KIND.fetch_all(session)
    return tuple(AddedKind(row.name, row.starts_at, _read(row.limits), tuple(row.packs)) for row in rows)


def authors(session: Session) -> dict[tuple[str, datetime], Author]:
    """Return who added each version of a plan, by its plan and start."""
    return {(row.plan, row.starts_at): Author(row.added_by, row.added_at) for row in EVERY.fetch_all(session)}


def kind_authors(session: Session) -> dict[str, Author]:
    """Return who added each kind."""
    return {row.name: Author(row.added_by, row.added_at) for row in EVERY_KIND.fetch_all(session)}


def add_kind(session: Session, added: AddedKind, *, now: datetime, by: str) -> None:
    """Add a kind, which `begin_kind` gives its place once it begins."""
    row = {"name": added.name, "limits": _written(added.limits), "packs": list(added.packs)}
    session.execute(insert(ADDED_KINDS).values(**row, starts_at=added.starts_at, added_at=now, added_by=by))


def kinds_in_order(session: Session) -> tuple[str, ...]:
    """Return the kinds that have a place in every stored amount, in that order."""
    return tuple(row.name for row in IN_ORDER.fetch_all(session))


def begin_kind(session: Session, name: str) -> None:
    """Give a kind the last place; from then on processes and the functions of the database know it."""
    last = select(func.max(PLACES.c.position)).scalar_subquery()
    session.execute(insert(PLACES).from_select(["name", "position"], select(literal(name), last + 1)))


def _written(limits: Mapping[str, tuple[Limit, Limit]]) -> dict[str, object]:
    return {name: {"v2": v2, "legacy": legacy} for name, (v2, legacy) in limits.items()}


def _read(limits: Mapping[str, Mapping[str, Limit]]) -> dict[str, tuple[Limit, Limit]]:
    return {name: (each["v2"], each["legacy"]) for name, each in limits.items()}


def _written_rollovers(rules: Rollovers | None) -> dict[str, object] | None:
    return None if rules is None else {kind: asdict(rule) for kind, rule in rules.items()}


def _read_rollovers(rules: Mapping[str, Mapping[str, Any]] | None) -> Rollovers | None:
    return None if rules is None else {kind: Rollover(**rule) for kind, rule in rules.items()}


def write_catalogue(session: Session, plans: Sequence[CreditPlan], kinds: Sequence[str]) -> bool:
    """Let the functions of PostgreSQL read just these plans; returns whether that changed anything."""
    if not is_postgresql(session):
        return False
    known = {row.called: (row.name, row.rank) for row in session.execute(PLANS)}
    catalogue = Catalogue(plans)
    plans = [*plans, *_of_seats(known, catalogue)]
    wanted = {name: (plan.name, _rank(plan, catalogue)) for plan in plans for name in (plan.name, *plan.aliases)}
    limits = {
        (plan.name, kind): (v2, legacy)
        for plan in plans
        for kind, v2, legacy in zip(kinds, plan.v2.figures, plan.legacy.figures, strict=True)
    }
    granted = {(row.plan, row.kind): (row.v2, row.legacy) for row in session.execute(LIMITS)}
    new = [
        {"called": called, "name": name, "rank": rank}
        for called, (name, rank) in wanted.items()
        if known.get(called) != (name, rank)
    ]
    other = [
        {"plan": plan, "kind": kind, "v2": v2, "legacy": legacy}
        for (plan, kind), (v2, legacy) in limits.items()
        if granted.get((plan, kind)) != (v2, legacy)
    ]
    if new:
        session.execute(PUT_PLAN, new)
    if other:
        # After the plans: each statement on this table has a trigger write the limits of every plan anew.
        session.execute(PUT_LIMIT, other)
    if new or other:
        session.execute(GRANT)
    return bool(new or other)


def write_seats(session: Session, plan: CreditPlan, catalogue: Catalogue, kinds: Sequence[str]) -> bool:
    """Let the functions of PostgreSQL know a plan of this many seats; returns whether they did not before."""
    if plan.seats == 1 or not is_postgresql(session):
        return False
    row = {"called": plan.name, "name": plan.name, "rank": _rank(plan, catalogue)}
    if rowcount_of(session, ADD_PLAN.bindparams(**row)) == 0:
        return False
    figures = zip(kinds, plan.v2.figures, plan.legacy.figures, strict=False)
    rows = [{"plan": plan.name, "kind": kind, "v2": v2, "legacy": legacy} for kind, v2, legacy in figures]
    session.execute(PUT_LIMIT, rows)
    session.execute(GRANT)
    return True


def _of_seats(known: Iterable[str], catalogue: Catalogue) -> Iterator[CreditPlan]:
    """Yield the plans of more than one seat that somebody had so far."""
    for name in known:
        with suppress(UnknownPlanError):
            if (plan := catalogue.plan(name)).seats > 1:
                yield plan


def _rank(plan: CreditPlan, catalogue: Catalogue) -> int:
    place, seats = catalogue.place(plan)
    return place * SEATS_MAX + seats - 1


def allowed_since(
    session: Session, plans: Iterable[str], since: datetime
) -> Iterator[tuple[str, str, Amounts, Amounts, Limits | None]]:
    """Yield user, their plan, what was used, asked for and the limit of v2, of each operation that v2 would allow."""
    names = sorted(plans)
    query = (
        select(JOURNAL.c.user_id, USERS.c.plan, JOURNAL.c.v2_used, JOURNAL.c.requested, JOURNAL.c.v2_limit)
        .join(USERS, USERS.c.user_id == JOURNAL.c.user_id)
        .where(
            or_(USERS.c.plan.in_(names), *(USERS.c.plan.startswith(f"{name}:", autoescape=True) for name in names)),
            JOURNAL.c.occurred_at >= since,
            JOURNAL.c.type.in_(("consume", "reserve")),
            JOURNAL.c.v2_outcome == "allowed",
            JOURNAL.c.v2_used.is_not(None),
        )
        .order_by(JOURNAL.c.id)
    )
    for row in session.execute(query.execution_options(yield_per=ROWS_AT_ONCE)):
        yield row.user_id, row.plan, row.v2_used, row.requested, row.v2_limit
