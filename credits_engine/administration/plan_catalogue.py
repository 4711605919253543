"""Plans as data: written as YAML, previewed on the journal, added with a start, audited, and in force everywhere."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import takewhile

import yaml
from flask import Flask
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.change_feed import lock_commit_order
from credits_engine.administration.catalogue_document import (
    INVALID,
    CatalogueDocument,
    document_of,
    kind_document_of,
)
from credits_engine.administration.catalogue_preview import (
    Refusals,
    RolloverPreview,
    refusals,
    rollover_previews,
    users_of,
)
from credits_engine.engines.added_kinds import AddedKind, added_kind_errors, with_kinds
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.credit_plan import CreditKind, CreditPlan
from credits_engine.engines.plan_versions import PlanVersion, plans_at, version_errors
from credits_engine.engines.plans import CATALOGUE, register_kind
from credits_engine.store import plan_versions
from credits_engine.store.plan_users import PlanUsers

RELOAD_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class CatalogueDifference:
    """What applying would do: the versions that are new, by plan whom they would have refused, and who has it now."""

    added: tuple[PlanVersion, ...]
    refusals: Mapping[str, Refusals]
    users: Mapping[str, PlanUsers]
    kinds: tuple[AddedKind, ...] = ()
    rollovers: Mapping[str, RolloverPreview] = field(default_factory=dict)
    """By plan what more would have rolled over."""


def exported(session: Session) -> str:
    """Return everything that was added as YAML that can be applied again."""
    kinds = [kind_document_of(each) for each in plan_versions.every_kind(session)]
    plans = [document_of(each) for each in plan_versions.every(session)]
    return yaml.safe_dump({**({"kinds": kinds} if kinds else {}), "plans": plans}, sort_keys=False)


def difference(session: Session, document: CatalogueDocument, now: datetime) -> CatalogueDifference:
    """Compare a document with what was added, and judge the operations of the last days by it. Raises Problem."""
    known = plan_versions.every(session)
    before = {(each.plan, each.starts_at): each for each in known}
    fresh = [
        version
        for each in document.plans
        if before.get((each.plan, (version := each.version(now)).starts_at)) != version
        and not (each.starts is None and _is_last(version, known))
    ]
    kinds = _fresh_kinds(session, document, now)
    names, known_kinds = plan_versions.kinds_in_order(session), plan_versions.every_kind(session)
    coming = [each.name for each in (*known_kinds, *kinds) if each.name not in names]
    plans = {plan.name for plan in CATALOGUE.built_in} | {each.plan for each in (*known, *fresh)}
    found = added_kind_errors(kinds, known_kinds, plans, names)
    found += version_errors(fresh, known, CATALOGUE.built_in, [*names, *coming], coming)
    found += [f"Kind {each.name!r}: it can't begin in the past." for each in kinds if each.starts_at < now]
    found += [
        f"Plan {each.plan!r}: it has begun already; what was granted stays, so begin another version from now on."
        for each in fresh
        if each.starts_at < now
    ]
    found += [
        f"Plan {each.plan!r}: another version begins at the same moment already."
        for each in fresh
        if (each.plan, each.starts_at) in before
    ]
    if found:
        raise Problem(422, INVALID, " ".join(found))
    return CatalogueDifference(
        tuple(fresh),
        refusals(session, fresh, now),
        users_of(session, fresh, now),
        kinds,
        rollover_previews(session, fresh, now),
    )


def _fresh_kinds(session: Session, document: CatalogueDocument, now: datetime) -> tuple[AddedKind, ...]:
    """Return the kinds that are not there yet as they are written; one that is there as it is may be repeated."""
    known = {each.name: each for each in plan_versions.every_kind(session)}
    wanted = ((each, each.added(now)) for each in document.kinds)
    return tuple(
        added
        for each, added in wanted
        if (before := known.get(each.kind)) is None
        or (replace(added, starts_at=before.starts_at) if each.starts is None else added) != before
    )


def apply(session: Session, document: CatalogueDocument, change: ChangeContext) -> CatalogueDifference:
    """Add what is new. Raises Problem, and changes nothing where anything is wrong."""
    # Two who apply at once would each see the other's version missing.
    lock_commit_order(session)
    found = difference(session, document, change.now)
    for kind in found.kinds:
        plan_versions.add_kind(session, kind, now=change.now, by=change.actor)
        subject = f"kind:{kind.name}"
        audit.record(session, change, action="credits.kind", subject=subject, after=kind_document_of(kind))
    for each in found.added:
        plan_versions.add(session, each, now=change.now, by=change.actor)
        subject = f"plan:{each.plan}"
        audit.record(session, change, action="credits.plan", subject=subject, after=document_of(each))
    _write(session, change.now)
    return found


def reload(now: datetime) -> None:
    """Bring this process up to the plans in force."""
    with read_only() as session:
        begun = _begun_kinds(session)
        plans = in_force(session, now)
        added = {each.plan for each in plan_versions.every(session)}
    for kind in begun:
        register_kind(kind, added=added)
    if plans != CATALOGUE.plans:
        CATALOGUE.replace_plans(plans)


def write(now: datetime) -> None:
    """Bring the rows by which PostgreSQL's functions decide up to the plans in force."""
    with read_only() as session:
        # Where nothing was ever added the rows are what migrations made of them.
        if not (plan_versions.every(session) or plan_versions.every_kind(session)):
            return
    with transaction() as session:
        _write(session, now)


def _write(session: Session, now: datetime) -> None:
    """Give kinds that begin their place, and the functions of the database the plans in force."""
    known = plan_versions.kinds_in_order(session)
    for each in plan_versions.every_kind(session):
        if each.starts_at <= now and each.name not in known:
            plan_versions.begin_kind(session, each.name)
    names = plan_versions.kinds_in_order(session)
    plan_versions.write_catalogue(session, in_force(session, now), names)


def init_app(app: Flask) -> None:
    """Know the plans from the first request on, and follow them while this process runs."""
    with suppress(SQLAlchemyError):
        # Where the database is away, the schedule does it as soon as that is back.
        reload(clock.now())
    jobs.jobs_of(app).run_on_all(RELOAD_SECONDS, "credit-plans", reload)
    jobs.run_on_leader(app, RELOAD_SECONDS, "write-credit-plans", write)


def _is_last(version: PlanVersion, known: Sequence[PlanVersion]) -> bool:
    """Return whether the last version of a plan says the same: a file without a start may be applied again."""
    own = [each for each in known if each.plan == version.plan]
    last = max(own, key=lambda each: each.starts_at, default=None)
    return last is not None and replace(last, starts_at=version.starts_at) == version


def in_force(session: Session, now: datetime) -> tuple[CreditPlan, ...]:
    """Return the plans by what is stored, in ascending order; this process follows within seconds."""
    begun = _begun_kinds(session)
    built_in = with_kinds(CATALOGUE.built_in, begun)
    granted = {kind.name: kind for kind in (*CATALOGUE.kinds, *begun)}
    return plans_at(built_in, plan_versions.every(session), list(granted), now, granted)


def _begun_kinds(session: Session) -> list[CreditKind]:
    """Return the kinds by data that have their place, and that this process does not know yet."""
    added = {each.name: each.kind for each in plan_versions.every_kind(session)}
    unknown = plan_versions.kinds_in_order(session)[len(KINDS) :]
    # After a kind that a newer release brings none can have its place here.
    return [added[name] for name in takewhile(added.__contains__, unknown)]
