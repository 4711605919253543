"""Stripe's events on pages: the inbox by state, one event in full, and applying it once more."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from credits_engine.billing.api import stripe_gateway
from credits_engine.billing.inbox import commands
from credits_engine.billing.reconciliation import corrections
from credits_engine.billing.reconciliation.jobs import request_check
from credits_engine.billing.store.inbox import State
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import billing as screens
from dashboards.views.blueprint import bp, row_id
from dashboards.views.refusals import flash_refusal

REASON_CHARACTERS = 300


@bp.get("/billing")
@authorization.require_role("operator")
def billing() -> ResponseReturnValue:
    """Show the inbox, of one state or of all."""
    return _page()


def _page() -> str:
    name = request.args.get("state", "")
    state = State(name) if name in tuple(State) else None
    before = request.args.get("before", type=row_id)
    with read_only() as session:
        screen = screens.read(session, state=state, before=before, now=clock.now())
    return render_template("billing.html", screen=screen, states=screens.STATES)


@bp.post("/billing/compare")
@authorization.require_role("owner")
def compare_with_stripe() -> ResponseReturnValue:
    """Let the leader compare with Stripe now instead of once a day."""
    with flash_refusal():
        stripe_gateway()  # without a key nobody can be asked
        with transaction() as session:
            request_check(session, ChangeContext(clock.now(), authorization.actor(), "Asked for on the page."))
        flash(gettext("It is compared within a minute; what differs is listed here."), "success")
    return redirect(url_for("pages.billing"), 303)


@bp.post("/billing/findings/<int:finding_id>")
@authorization.require_role("owner")
def close_finding(finding_id: int) -> ResponseReturnValue:
    """Correct a finding from Stripe's word, or dismiss it; a refusal keeps what was written."""
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    change = ChangeContext(clock.now(), authorization.actor(), reason)
    try:
        require_reason(reason)
        if request.form.get("order") == "dismiss":
            done = corrections.dismiss(finding_id, change)
        else:
            done = corrections.apply(stripe_gateway(), finding_id, change)
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(), problem.status
    flash(done.sentence, "success")
    return redirect(url_for("pages.billing"), 303)


@bp.get("/billing/<event_id>")
@authorization.require_role("operator")
def billing_event(event_id: str) -> ResponseReturnValue:
    """Show one event with its body, which holds customers' data."""
    return _event_page(event_id)


def _event_page(event_id: str) -> str:
    with read_only() as session:
        screen = screens.read_event(session, event_id, clock.now())
    if screen is None:
        raise Problem(404, "EVENT_NOT_FOUND", f"The inbox holds no event {event_id[:80]!r}.")
    return render_template("billing_event.html", screen=screen)


@bp.post("/billing/<event_id>/replay")
@authorization.require_role("operator")
def replay_event(event_id: str) -> ResponseReturnValue:
    """Apply an event once more; a refusal keeps what was written."""
    reason, now = request.form.get("reason", "").strip()[:REASON_CHARACTERS], clock.now()
    try:
        require_reason(reason)
        with transaction() as session:
            commands.replay(session, event_id, now=now, actor=authorization.actor(), reason=reason)
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _event_page(event_id), problem.status
    flash(gettext("It is applied once more within seconds."), "success")
    return redirect(url_for("pages.billing_event", event_id=event_id), 303)
