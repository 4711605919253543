"""The credits of one user: what the books hold, and an owner's corrections of them."""

import secrets
from collections.abc import Callable
from datetime import datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections
from credits_engine.administration.corrections import Adjustment, CorrectionRefused
from credits_engine.engines.amounts import NOTHING, Amounts
from credits_engine.engines.plans import UnknownPlanError
from credits_engine.operations.consumption import KeyConflictError, UnknownUserError
from credits_engine.operations.routing import flag_lookup
from dashboards.language import N_, gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import credits as screens
from dashboards.views.blueprint import bp, row_id

REASON_CHARACTERS = 2000
ADJUSTMENT_MAXIMUM = 1_000_000
DONE = {
    "adjust": N_("Adjusted in both books."),
    "reset": N_("Usage was reset to zero in both books."),
    "freeze": N_("Frozen: nothing can be consumed."),
    "unfreeze": N_("Credits can be consumed again."),
}
VERB = f"<any({', '.join(DONE)}):verb>"
REFUSALS = (UnknownUserError, UnknownPlanError, CorrectionRefused, KeyConflictError)


@bp.get("/credits", endpoint="credits")
@authorization.require_role("owner")
def show_credits() -> ResponseReturnValue:
    """Return both books and the journal of a user; without one, where the engines differed lately."""
    return _page(request.args.get("user", "").strip(), before=request.args.get("before", type=row_id))


@bp.post(f"/credits/{VERB}")
@authorization.require_role("owner")
def correct_credits(verb: str) -> ResponseReturnValue:
    """Correct the books of a user, or stop and resume their consumption."""
    user_id, reason = request.form.get("user", ""), request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    try:
        _refuse_nothing(verb, reason)
        with transaction() as session:
            _correction(verb)(session, user_id, clock.now(), reason)
        flash(gettext(DONE[verb]), "success")
    except REFUSALS as refusal:
        flash(unchanged(str(refusal)), "refusal")
        return _page(user_id), 422  # with what was written still in the form
    return redirect(url_for("pages.credits", user=user_id), 303)


def _page(user_id: str, *, before: int | None = None) -> str:
    with read_only() as session:
        screen = screens.read(session, user_id, before=before, now=clock.now())
    # The key comes with the form: a form that is sent twice adjusts once.
    return render_template("credits.html", screen=screen, key=f"page:{secrets.token_urlsafe(12)}")


def _correction(verb: str) -> Callable[[Session, str, datetime, str], object]:
    match verb:
        case "adjust":
            return _adjust
        case "reset":
            return lambda session, user_id, now, reason: corrections.reset(
                session, user_id, ChangeContext(now, authorization.actor(), reason)
            )
        case "freeze":
            return lambda session, user_id, now, reason: corrections.freeze(
                session, user_id, ChangeContext(now, authorization.actor(), reason)
            )
        case _:
            return lambda session, user_id, now, reason: corrections.unfreeze(
                session, user_id, ChangeContext(now, authorization.actor(), reason)
            )


def _adjust(session: Session, user_id: str, now: datetime, reason: str) -> object:
    return corrections.adjust(
        session,
        Adjustment(user_id, _amounts(), key=request.form.get("key") or None),
        ChangeContext(now, authorization.actor(), reason),
        evaluate=flag_lookup(session, now),
    )


def _amounts() -> Amounts:
    """Parse the amounts to give back, or to take where negative."""
    return Amounts.of(lambda kind: request.form.get(kind, 0, type=int))


def _refuse_nothing(verb: str, reason: str) -> None:
    """Raise CorrectionRefused for a form that asks for nothing, for too much, or without a reason."""
    if not reason:
        raise CorrectionRefused(gettext("Say why: a reason is required."))
    if verb == "adjust" and _amounts() == NOTHING:
        raise CorrectionRefused(gettext("Write how many credits to give back; a negative number takes some away."))
    if verb == "adjust" and max(map(abs, _amounts().figures)) > ADJUSTMENT_MAXIMUM:
        raise CorrectionRefused(
            gettext("At most %(count)s credits of a kind can be adjusted at once.", count=ADJUSTMENT_MAXIMUM)
        )
