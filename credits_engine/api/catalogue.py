"""The catalogue of plans over JSON."""

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from credits_engine.administration import catalogue_document, plan_catalogue
from credits_engine.administration.plan_catalogue import CatalogueDifference

bp = Blueprint("credits_catalogue", __name__, url_prefix="/api/admin/credits/catalogue")


class CatalogueRequest(BaseModel):
    """Kinds, and versions of plans, as YAML, as the command line applies them, and why."""

    model_config = ConfigDict(extra="forbid", strict=True)

    plans: str = Field(max_length=200_000)
    reason: str = Field(min_length=1, max_length=2000)


class PlanCatalogue(ResponseModel):
    """Every kind and every version of a plan that was added."""

    plans: str


class PlanCatalogueDifference(ResponseModel):
    """The kinds and versions that are new; by plan whom they would have refused, what more would have rolled over, and
    who has them now.
    """

    added: list[dict[str, object]]
    kinds: list[dict[str, object]]
    refusals: dict[str, dict[str, object]]
    users: dict[str, dict[str, object]]
    rollovers: dict[str, dict[str, object]]


@bp.get("")
@require_role("viewer")
@openapi_doc(answers={200: PlanCatalogue})
def catalogue_view() -> ResponseReturnValue:
    """Return every kind and every version of a plan that was added, as YAML."""
    with read_only() as session:
        return jsonify({"plans": plan_catalogue.exported(session)})


@bp.post("/preview")
@require_role("owner")
@openapi_doc(body=CatalogueRequest, answers={200: PlanCatalogueDifference})
def preview_view() -> ResponseReturnValue:
    """Return what applying would add, and whom of the last 30 days it would have refused."""
    body = CatalogueRequest.model_validate(request.get_json())
    with read_only() as session:
        found = plan_catalogue.difference(session, catalogue_document.parsed(body.plans), clock.now())
    return jsonify(difference_document(found))


@bp.post("")
@require_role("owner")
@openapi_doc(body=CatalogueRequest, answers={200: PlanCatalogueDifference})
def apply_view() -> ResponseReturnValue:
    """Add the kinds and versions that are new. Periods that run keep their limits."""
    body = CatalogueRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    with transaction() as session:
        found = plan_catalogue.apply(session, catalogue_document.parsed(body.plans), change)
    return jsonify(difference_document(found))


def difference_document(found: CatalogueDifference) -> dict[str, object]:
    """Return what applying would do as JSON."""
    return {
        "added": [catalogue_document.document_of(each) for each in found.added],
        "kinds": [catalogue_document.kind_document_of(each) for each in found.kinds],
        "refusals": {
            plan: {"operations": each.operations, "users": each.users, "firstUsers": list(each.first_users)}
            for plan, each in found.refusals.items()
        },
        "users": {
            plan: {
                "users": each.users,
                "runningPeriods": each.running,
                "lastEnd": each.last_end.isoformat() if each.last_end else None,
            }
            for plan, each in found.users.items()
        },
        "rollovers": {
            plan: {"periods": each.periods, "users": each.users, "more": each.more.by_name()}
            for plan, each in found.rollovers.items()
        },
    }
