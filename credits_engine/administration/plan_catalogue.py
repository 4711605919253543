"""Plans as data: written as YAML, previewed on the journal, added with a start, audited, and in force everywhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import takewhile

import yaml
from flask import Flask
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.change_feed import lock_commit_order
from credits_engine.administration import documents
from credits_engine.administration.documents import start_of
from credits_engine.engines.added_kinds import AddedKind, added_kind_errors, with_kinds
from credits_engine.engines.amounts import KINDS, Amounts, Limit
from credits_engine.engines.plan_versions import GRACE_DAYS_MAX, PlanVersion, plans_at, version_errors
from credits_engine.engines.plans import CATALOGUE, CreditKind, CreditPlan, register_kind
from credits_engine.store import plan_versions

RELOAD_SECONDS = 2.0
PREVIEWED = timedelta(days=30)
VERSIONS_MAX = 200
KINDS_MAX = 20
INVALID = "INVALID_CATALOGUE"
USERS_MAX = 50


class LimitDocument(BaseModel):
    """The limit of one kind: v2's for a billing period, legacy's for a month. Null is unlimited."""

    model_config = ConfigDict(extra="forbid", strict=True)

    v2: Limit
    legacy: Limit


class PlanDocument(BaseModel):
    """What a plan grants from a moment on; without a start from now on."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(min_length=1, max_length=64)
    title: str | None = Field(None, max_length=64)
    above: str | None = Field(None, max_length=64)
    starts: datetime | None = None
    limits: dict[str, LimitDocument]
    grace_days: int | None = Field(None, ge=0, le=GRACE_DAYS_MAX)
    per_seat: bool = False

    def version(self, now: datetime) -> PlanVersion:
        """Return the version as it is stored."""
        limits = {kind: (each.v2, each.legacy) for kind, each in self.limits.items()}
        title = self.title or self.plan.capitalize()
        starts = start_of(self.starts, now)
        return PlanVersion(self.plan, title, starts, limits, self.above, self.grace_days, self.per_seat)


class KindDocument(BaseModel):
    """A kind of credits: what each plan grants of it, and the sizes of its packs."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=32)
    starts: datetime | None = None
    limits: dict[str, LimitDocument]
    packs: list[int] = Field([], max_length=20)

    def added(self, now: datetime) -> AddedKind:
        """Return the kind as it is stored."""
        limits = {plan: (each.v2, each.legacy) for plan, each in self.limits.items()}
        return AddedKind(self.kind, start_of(self.starts, now), limits, tuple(self.packs))


class CatalogueDocument(BaseModel):
    """Every kind and every version of a plan that is wanted besides the built-in ones."""

    model_config = ConfigDict(extra="forbid")

    kinds: list[KindDocument] = Field([], max_length=KINDS_MAX)
    plans: list[PlanDocument] = Field([], max_length=VERSIONS_MAX)


@dataclass(frozen=True, slots=True)
class Refusals:
    """Whom a version would have refused: of the operations of the last days that v2 allowed, and their first users."""

    operations: int
    users: int
    first_users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CatalogueDifference:
    """What applying would do: the versions that are new, and by plan whom they would have refused."""

    added: tuple[PlanVersion, ...]
    refusals: Mapping[str, Refusals]
    kinds: tuple[AddedKind, ...] = ()


def parsed(source: str) -> CatalogueDocument:
    """Read a document from YAML. Raises Problem, with the place of each mistake."""
    return documents.parsed(source, CatalogueDocument, INVALID)


def exported(session: Session) -> str:
    """Return everything that was added as YAML that can be applied again."""
    kinds = [kind_document_of(each) for each in plan_versions.every_kind(session)]
    plans = [document_of(each) for each in plan_versions.every(session)]
    return yaml.safe_dump({**({"kinds": kinds} if kinds else {}), "plans": plans}, sort_keys=False)


def kind_document_of(added: AddedKind) -> dict[str, object]:
    """Return one kind as it is written."""
    limits = {plan: {"v2": v2, "legacy": legacy} for plan, (v2, legacy) in added.limits.items()}
    return {"kind": added.name, "starts": added.starts_at.isoformat(), "limits": limits, "packs": list(added.packs)}


def document_of(version: PlanVersion) -> dict[str, object]:
    """Return one version as it is written."""
    above = {"above": version.above} if version.above else {}
    grace = {"grace_days": version.grace_days} if version.grace_days is not None else {}
    limits = {kind: {"v2": v2, "legacy": legacy} for kind, (v2, legacy) in version.limits.items()}
    return {
        "plan": version.plan,
        "title": version.title,
        **above,
        "starts": version.starts_at.isoformat(),
        "limits": limits,
        **grace,
        **({"per_seat": True} if version.per_seat else {}),
    }


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
    return CatalogueDifference(tuple(fresh), refusals(session, fresh, now), kinds)


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


def refusals(session: Session, versions: Sequence[PlanVersion], now: datetime) -> dict[str, Refusals]:
    """Return whom these versions would have refused by what they grant; packs are left out of account."""
    by_name = {name: each for each in versions for name in (each.plan, *_aliases(each.plan))}
    operations: Counter[str] = Counter()
    users: dict[str, dict[str, None]] = {}
    for user_id, plan, used, asked, _ in plan_versions.allowed_since(session, by_name, now - PREVIEWED):
        version = by_name.get(plan) or by_name[CATALOGUE.plan(plan).base_name]
        seats = 1 if plan in by_name else CATALOGUE.plan(plan).seats
        limits = version.v2(KINDS)
        if any(
            limit is not None and amount and before + amount > limit * seats
            for before, amount, limit in zip(_padded(used), _padded(asked), limits.figures, strict=True)
        ):
            operations[version.plan] += 1
            users.setdefault(version.plan, {})[user_id] = None
    return {
        each.plan: Refusals(
            operations[each.plan], len(users.get(each.plan, ())), tuple(users.get(each.plan, ()))[:USERS_MAX]
        )
        for each in versions
    }


def reload(now: datetime) -> None:
    """Bring this process up to the plans in force."""
    with read_only() as session:
        begun = _begun_kinds(session)
        plans = _in_force(session, now)
        added = {each.plan for each in plan_versions.every(session)}
    for kind in begun:
        register_kind(kind, added=added)
    if plans != CATALOGUE.plans:
        CATALOGUE.replace_plans(plans)


def write(now: datetime, _term: int) -> None:
    """Bring the rows by which PostgreSQL's functions decide up to the plans in force."""
    with transaction() as session:
        # Where nothing was ever added the rows are what migrations made of them.
        if plan_versions.every(session) or plan_versions.every_kind(session):
            _write(session, now)


def _write(session: Session, now: datetime) -> None:
    """Give kinds that begin their place, and the functions of the database the plans in force."""
    known = plan_versions.kinds_in_order(session)
    for each in plan_versions.every_kind(session):
        if each.starts_at <= now and each.name not in known:
            plan_versions.begin_kind(session, each.name)
    names = plan_versions.kinds_in_order(session)
    plan_versions.write_catalogue(session, _in_force(session, now), names)


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


def _in_force(session: Session, now: datetime) -> tuple[CreditPlan, ...]:
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


def _aliases(plan: str) -> tuple[str, ...]:
    return next((each.aliases for each in CATALOGUE.built_in if each.name == plan), ())


def _padded(amounts: Amounts) -> tuple[int, ...]:
    return (*amounts.figures, *(0 for _ in KINDS[len(amounts.figures) :]))
