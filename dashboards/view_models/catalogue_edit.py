"""Writing a part of the catalogue: the text to begin with, and what the text that somebody wrote would do."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from sqlalchemy.orm import Session

from control_plane.plans import yaml_text
from control_plane.platform.problems import Problem
from credits_engine.administration import catalogue_document, plan_catalogue
from credits_engine.administration.plan_catalogue import CatalogueDifference
from credits_engine.billing import price_administration
from credits_engine.billing.price_administration import Difference
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeGateway, StripeUnavailableError
from credits_engine.engines.amounts import Limit
from credits_engine.engines.credit_plan import CreditPlan
from credits_engine.engines.periods import calendar_month
from credits_engine.store import plan_versions
from dashboards.problem_sentences import problem_sentence


@dataclass(frozen=True, slots=True)
class CatalogueEdit:
    """A document being written, with why it can't be taken, or with what it would do."""

    now: datetime
    document: str
    text: str
    mistake: str = ""
    plans: CatalogueDifference | None = None
    before: Mapping[str, Mapping[str, tuple[Limit, Limit]]] | None = None
    """By plan and kind: v2's limit and legacy's now."""
    prices: Difference | None = None
    problem: str = ""
    """Why Stripe could not be asked which prices it sells."""


def begin(session: Session, document: str, plan: str, now: datetime) -> CatalogueEdit:
    """Begin with an entry that can be changed; a plan that runs is written as it is now."""
    match document:
        case "prices":
            entry = _price_entry()
        case "kinds":
            entry = _kind_entry(session, now)
        case _:
            entry = _plan_entry(session, plan, now)
    return CatalogueEdit(now, document, yaml_text.dump(entry))


def preview(session: Session, document: str, text: str, now: datetime, gateway: StripeGateway | None) -> CatalogueEdit:
    """Say what applying the text would do, or why it can't be."""
    screen = CatalogueEdit(now, document, text)
    try:
        if document == "prices":
            return _with_prices(session, screen, gateway)
        found = plan_catalogue.difference(session, catalogue_document.parsed(text), now)
    except Problem as problem:
        return replace(screen, mistake=problem_sentence(problem))
    kinds = plan_versions.kinds_in_order(session)
    before = {plan.name: _limits(plan, kinds) for plan in plan_catalogue.in_force(session, now)}
    return replace(screen, plans=found, before=before)


def _with_prices(session: Session, screen: CatalogueEdit, gateway: StripeGateway | None) -> CatalogueEdit:
    wanted = price_administration.parsed(screen.text)
    try:
        return replace(screen, prices=price_administration.difference(session, wanted, screen.now, gateway=gateway))
    except (StripeUnavailableError, BreakerOpenError) as error:
        return replace(screen, prices=price_administration.difference(session, wanted, screen.now), problem=str(error))


def _kind_entry(session: Session, now: datetime) -> dict[str, object]:
    limits = {plan.name: {"v2": 0, "legacy": 0} for plan in plan_catalogue.in_force(session, now)}
    return {"kinds": [{"kind": "image", "starts": _next_month(now), "packs": [20], "limits": limits}]}


def _plan_entry(session: Session, plan: str, now: datetime) -> dict[str, object]:
    plans = {each.name: each for each in plan_catalogue.in_force(session, now)}
    kinds = plan_versions.kinds_in_order(session)
    found = plans.get(plan)
    limits_now = _limits(found or next(iter(plans.values())), kinds)
    named = {"plan": plan, "title": found.title} if found else {"plan": "team", "title": "Team", "above": [*plans][-2]}
    written = {kind: {"v2": v2, "legacy": legacy} for kind, (v2, legacy) in limits_now.items()}
    rules = found.rollovers_of(now) if found else {}
    rolling = {"rollovers": catalogue_document.rollovers_document(rules)} if rules else {}
    return {"plans": [{**named, "starts": _next_month(now), "limits": written, **rolling}]}


def _price_entry() -> dict[str, object]:
    return {
        "prices": [
            {"price": "pro_quarterly", "plan": "pro"},
            {"price": "pack_roast_500", "pack": {"kind": "roast", "amount": 500, "days": 365}},
        ]
    }


def _limits(plan: CreditPlan, kinds: tuple[str, ...]) -> dict[str, tuple[Limit, Limit]]:
    pairs = zip(plan.v2.figures, plan.legacy.figures, strict=True)
    return dict(zip(kinds, pairs, strict=False))


def _next_month(now: datetime) -> date:
    """Return the first day of a month that is at least a day away, so that legacy's month begins with it."""
    return calendar_month(now + timedelta(days=1)).end.date()
