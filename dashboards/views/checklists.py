"""The checklists of a rollout: what is done, what waits for a signature, and what a check finds to be false."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import progress, signatures
from control_plane.checklists.signatures import LONGEST, ItemAddress
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from dashboards.delivered_texts import delivered
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.views.blueprint import bp

PATH = "/rollouts/<flag>/checklists"


@bp.get(PATH)
@authorization.require_role("viewer")
def checklists(flag: str) -> ResponseReturnValue:
    """Show every checklist, those of the current phase first."""
    with read_only() as session:
        found = progress.read(session, rollouts.find(session, flag), clock.now())
    return render_template("checklists.html", progress=found)


@bp.post(PATH)
@authorization.require_role("operator")
def sign_item(flag: str) -> ResponseReturnValue:
    """Sign an item, or take its signature back; a refusal keeps what was written."""
    form = request.form
    address = ItemAddress(form.get("checklist", ""), form.get("item", ""), form.get("phase", ""))
    note, link = form.get("note", "")[:LONGEST], form.get("link", "")[:LONGEST]
    change = ChangeContext(clock.now(), authorization.actor(), note)
    try:
        with transaction() as session:
            rollout = rollouts.find(session, flag)
            if form.get("withdraw"):
                signatures.withdraw(session, rollout, address, change)
                flash(gettext("The signature is taken back."), "success")
            else:
                state = signatures.sign(session, rollout, address, change, link=link)
                flash(gettext("Signed: %(item)s.", item=delivered(state.item.title)), "success")
    except Problem as problem:
        with read_only() as session:
            found = progress.read(session, rollouts.find(session, flag), clock.now())
        flash(unchanged(problem), "refusal")
        page = render_template("checklists.html", progress=found, kept=address, note=note, link=link)
        return page, problem.status
    return redirect(url_for("pages.checklists", flag=flag, _anchor=_anchor(address)), 303)


def _anchor(address: ItemAddress) -> str:
    return "-".join(part for part in (address.checklist, address.phase, address.item) if part)
