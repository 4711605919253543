"""Plans as data: written as YAML, previewed on the journal, added with a start, audited, and in force everywhere."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import yaml
from flask import Flask
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import jobs
from control_plane.platform.runtime.change_feed import lock_commit_order
from credits_engine.engines.amounts import KINDS, Amounts, Limit
from credits_engine.engines.plan_versions import PlanVersion, plans_at, version_errors
from credits_engine.engines.plans import CATALOGUE, CreditPlan
from credits_engine.store import plan_versions

RELOAD_SECONDS = 2.0
PREVIEWED = timedelta(days=30)
VERSIONS_MAX = 200
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

    def version(self, now: datetime) -> PlanVersion:
        """Return the version as it is stored."""
        starts = self.starts or now
        starts = starts.replace(tzinfo=UTC) if starts.tzinfo is None else starts.astimezone(UTC)
        limits = {kind: (each.v2, each.legacy) for kind, each in self.limits.items()}
        return PlanVersion(self.plan, self.title or self.plan.capitalize(), starts, limits, self.above)


class CatalogueDocument(BaseModel):
    """Every version of a plan that is wanted besides the built-in plans."""

    model_config = ConfigDict(extra="forbid")

    plans: list[PlanDocument] = Field(max_length=VERSIONS_MAX)


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


def parsed(source: str) -> CatalogueDocument:
    """Read a document from YAML. Raises Problem, with the place of each mistake."""
    try:
        return CatalogueDocument.model_validate(yaml.safe_load(source))
    except yaml.YAMLError as error:
        raise Problem(422, "INVALID_CATALOGUE", f"This is no YAML: {error}") from error
    except ValidationError as error:
        found = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise Problem(422, "INVALID_CATALOGUE", found) from error


def exported(session: Session) -> str:
    """Return every version that was added as YAML that can be applied again."""
    return yaml.safe_dump({"plans": [document_of(each) for each in plan_versions.every(session)]}, sort_keys=False)


def document_of(version: PlanVersion) -> dict[str, object]:
    """Return one version as it is written."""
    above = {"above": version.above} if version.above else {}
    limits = {kind: {"v2": v2, "legacy": legacy} for kind, (v2, legacy) in version.limits.items()}
    return {
        "plan": version.plan,
        "title": version.title,
        **above,
        "starts": version.starts_at.isoformat(),
        "limits": limits,
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
    found = version_errors(fresh, known, CATALOGUE.built_in, KINDS)
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
        raise Problem(422, "INVALID_CATALOGUE", " ".join(found))
    return CatalogueDifference(tuple(fresh), refusals(session, fresh, now))


def apply(session: Session, document: CatalogueDocument, change: ChangeContext) -> CatalogueDifference:
    """Add what is new. Raises Problem, and changes nothing where anything is wrong."""
    # Two who apply at once would each see the other's version missing.
    lock_commit_order(session)
    found = difference(session, document, change.now)
    for each in found.added:
        plan_versions.add(session, each, now=change.now, by=change.actor)
        subject = f"plan:{each.plan}"
        audit.record(session, change, action="credits.plan", subject=subject, after=document_of(each))
    plan_versions.write_catalogue(session, _in_force(session, change.now), KINDS)
    return found


def refusals(session: Session, versions: Sequence[PlanVersion], now: datetime) -> dict[str, Refusals]:
    """Return whom these versions would have refused by what they grant; packs are left out of account."""
    by_name = {name: each for each in versions for name in (each.plan, *_aliases(each.plan))}
    operations: Counter[str] = Counter()
    users: dict[str, dict[str, None]] = {}
    for user_id, plan, used, asked, _ in plan_versions.allowed_since(session, by_name, now - PREVIEWED):
        version = by_name[plan]
        limits = version.v2(KINDS)
        if any(
            limit is not None and amount and before + amount > limit
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
        plans = _in_force(session, now)
    if plans != CATALOGUE.plans:
        CATALOGUE.replace_plans(plans)


def write(now: datetime, _term: int) -> None:
    """Bring the rows by which PostgreSQL's functions decide up to the plans in force."""
    with transaction() as session:
        # Where nothing was ever added the rows are what migrations made of them.
        if plan_versions.every(session):
            plan_versions.write_catalogue(session, _in_force(session, now), KINDS)


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
    return plans_at(CATALOGUE.built_in, plan_versions.every(session), KINDS, now)


def _aliases(plan: str) -> tuple[str, ...]:
    return next((each.aliases for each in CATALOGUE.built_in if each.name == plan), ())


def _padded(amounts: Amounts) -> tuple[int, ...]:
    return (*amounts.figures, *(0 for _ in KINDS[len(amounts.figures) :]))
