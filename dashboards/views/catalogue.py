"""The catalogue of credits on pages: what is sold, held against Stripe's prices, written, previewed and applied."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from credits_engine.administration import catalogue_document, plan_catalogue
from credits_engine.billing import prices
from credits_engine.billing.api import stripe_gateway
from credits_engine.billing.prices import StripeCheck
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, BreakerOpenError, StripeUnavailableError
from dashboards.language import gettext, ngettext
from dashboards.problem_sentences import problem_sentence, unchanged
from dashboards.view_models import catalogue as screens
from dashboards.view_models import catalogue_edit
from dashboards.view_models.catalogue_edit import CatalogueEdit
from dashboards.views.blueprint import bp

TEXT_MAX = 200_000
REASON_MAX = 2_000
DOCUMENT = "<any(plans, kinds, prices):document>"


@bp.get("/catalogue")
@authorization.require_role("viewer")
def catalogue() -> ResponseReturnValue:
    """Show what is sold; with `stripe=compare` beside what Stripe sells."""
    check, problem = _compared_with_stripe() if request.args.get("stripe") == "compare" else (None, "")
    with read_only() as session:
        screen = screens.read(session, clock.now(), check=check, problem=problem)
    return render_template("catalogue.html", screen=screen)


@bp.get(f"/catalogue/{DOCUMENT}")
@authorization.require_role("owner")
def edit_catalogue(document: str) -> ResponseReturnValue:
    """Begin to write plans, kinds or prices."""
    with read_only() as session:
        screen = catalogue_edit.begin(session, document, request.args.get("plan", ""), clock.now())
    return _page(screen)


@bp.post(f"/catalogue/{DOCUMENT}")
@authorization.require_role("owner")
def change_catalogue(document: str) -> ResponseReturnValue:
    """Add what is written, or only say what that would do; a refusal keeps what was written."""
    text = request.form.get("text", "").replace("\r\n", "\n")
    if request.form.get("do") != "apply":
        screen = _preview(document, text)
        return _page(screen), 422 if screen.mistake else 200
    try:
        added = _apply(document, text, request.form.get("reason", "").strip())
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(_preview(document, text)), problem.status
    flash(_done(added), "success")
    return redirect(url_for("pages.catalogue"), 303)


def _apply(document: str, text: str, reason: str) -> int:
    """Add what is new and return how many entries that are. Raises Problem."""
    _require(text, reason)
    change = ChangeContext(clock.now(), authorization.actor(), reason)
    with transaction() as session:
        if document == "prices":
            return len(prices.apply(session, prices.parsed(text), change).added)
        found = plan_catalogue.apply(session, catalogue_document.parsed(text), change)
    return len(found.added) + len(found.kinds)


def _require(text: str, reason: str) -> None:
    require_reason(reason)
    if len(reason) > REASON_MAX:
        raise Problem(422, "REASON_TOO_LONG", f"The reason is longer than {REASON_MAX:,} characters.")
    if len(text) > TEXT_MAX:
        raise Problem(422, "DOCUMENT_TOO_LONG", f"The document is longer than {TEXT_MAX:,} characters.")


def _done(added: int) -> str:
    if not added:
        return gettext("All of that is in the catalogue already.")
    return ngettext(
        "%(count)s entry was added. Every server follows within seconds.",
        "%(count)s entries were added. Every server follows within seconds.",
        added,
        count=added,
    )


def _preview(document: str, text: str) -> CatalogueEdit:
    if len(text) > TEXT_MAX:
        return CatalogueEdit(clock.now(), document, text, mistake=gettext("The document is too long."))
    with read_only() as session:
        return catalogue_edit.preview(session, document, text, clock.now(), STRIPE_GATEWAY.get())


def _compared_with_stripe() -> tuple[StripeCheck | None, str]:
    try:
        return prices.compare_with_stripe(stripe_gateway()), ""
    except Problem as problem:
        return None, problem_sentence(problem)
    except (StripeUnavailableError, BreakerOpenError) as error:
        return None, str(error)


def _page(screen: CatalogueEdit) -> str:
    return render_template("catalogue_edit.html", screen=screen)
