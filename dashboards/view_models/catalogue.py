"""The page of the catalogue: plans with what they grant now and later, kinds, packs and prices, and who added them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from credits_engine.administration import plan_catalogue
from credits_engine.billing import price_administration
from credits_engine.billing.entitlements.price_list import AddedPrice
from credits_engine.billing.price_administration import StripeCheck
from credits_engine.billing.store import prices as price_store
from credits_engine.engines import pack_prices
from credits_engine.engines.added_kinds import AddedKind
from credits_engine.engines.amounts import Limit
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.pack_prices import PackPrice
from credits_engine.engines.plan_versions import PlanVersion
from credits_engine.engines.rollovers import Rollovers
from credits_engine.store import plan_versions
from credits_engine.store.plan_versions import Author


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan in force: by kind v2's limit and legacy's, and the days of grace."""

    plan: CreditPlan
    limits: Sequence[tuple[str, Limit, Limit]]
    grace: timedelta
    prices: Sequence[str]
    since: datetime | None
    """None for what is built in."""
    rollovers: Rollovers
    """By which rules a period rolls over that begins now."""


@dataclass(frozen=True, slots=True)
class VersionView:
    """A version of a plan, who added it, and whether it is in force."""

    version: PlanVersion
    author: Author
    state: str


@dataclass(frozen=True, slots=True)
class PriceView:
    """A price that was added, and by whom."""

    price: AddedPrice
    author: Author
    state: str


@dataclass(frozen=True, slots=True)
class CatalogueScreen:
    """Everything that is sold as of `now`."""

    now: datetime
    kinds: Sequence[str]
    plans: Sequence[PlanView]
    versions: Sequence[VersionView]
    added_kinds: Sequence[tuple[AddedKind, Author, str]]
    packs: Sequence[PackPrice]
    prices: Sequence[PriceView]
    exported: Mapping[str, str]
    """By the document that people edit: what was added, as YAML."""
    check: StripeCheck | None = None
    problem: str = ""
    """Why Stripe could not be asked."""


def read(session: Session, now: datetime, *, check: StripeCheck | None = None, problem: str = "") -> CatalogueScreen:
    """Return the catalogue as it is stored."""
    kinds, versions = plan_versions.kinds_in_order(session), plan_versions.every(session)
    added = _prices(session, now)
    in_force = {name: max(times) for name, times in _begun(versions, now).items()}
    return CatalogueScreen(
        now,
        kinds,
        [_plan(plan, kinds, added, in_force, now) for plan in plan_catalogue.in_force(session, now)],
        _versions(session, versions, in_force, now),
        _kinds(session, now),
        list(pack_prices.offers()),
        added,
        {"plans": plan_catalogue.exported(session), "prices": price_administration.exported(session)},
        check,
        problem,
    )


def _plan(
    plan: CreditPlan, kinds: Sequence[str], added: Sequence[PriceView], since: Mapping[str, datetime], now: datetime
) -> PlanView:
    limits = list(zip(kinds, plan.v2.figures, plan.legacy.figures, strict=False))
    bought = [each.price.price for each in added if each.price.plan in (plan.name, *plan.aliases)]
    sold_for, rules = [*plan.price_keys, *bought], plan.rollovers_of(now)
    return PlanView(plan, limits, plan.grace_at(now), sold_for, since.get(plan.name), rules)


def _begun(versions: Sequence[PlanVersion], now: datetime) -> dict[str, list[datetime]]:
    begun: dict[str, list[datetime]] = {}
    for each in versions:
        if each.starts_at <= now:
            begun.setdefault(each.plan, []).append(each.starts_at)
    return begun


def _versions(
    session: Session, versions: Sequence[PlanVersion], in_force: Mapping[str, datetime], now: datetime
) -> list[VersionView]:
    authors = plan_versions.authors(session)
    return [
        VersionView(each, authors[each.plan, each.starts_at], _state(each.starts_at, now, in_force.get(each.plan)))
        for each in sorted(versions, key=lambda each: each.starts_at, reverse=True)
    ]


def _kinds(session: Session, now: datetime) -> list[tuple[AddedKind, Author, str]]:
    authors = plan_versions.kind_authors(session)
    return [(each, authors[each.name], _state(each.starts_at, now)) for each in plan_versions.every_kind(session)]


def _prices(session: Session, now: datetime) -> list[PriceView]:
    authors = {row.price: Author(row.added_by, row.added_at) for row in price_store.every(session)}
    return [
        PriceView(each, authors[each.price], _state(each.starts_at, now))
        for each in price_administration.known(session)
    ]


def _state(starts_at: datetime, now: datetime, in_force: datetime | None = None) -> str:
    if starts_at > now:
        return "to_come"
    return "in_force" if in_force in (None, starts_at) else "replaced"
