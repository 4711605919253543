"""The approvals of a rollout: who wants the next step or a change of the plan, and the form by which one joins them."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals
from control_plane.rollouts.approvals import ApprovalSubject
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import approvals as screens
from dashboards.views.blueprint import bp

PATH = "/rollouts/<flag>/approvals"
REASON_CHARACTERS = 2000


@bp.get(PATH)
@authorization.require_role("viewer")
def approvals_of(flag: str) -> ResponseReturnValue:
    """Show who approves what, and what is missing."""
    return _page(flag)


@bp.post(PATH)
@authorization.require_role("operator")
def approve(flag: str) -> ResponseReturnValue:
    """Approve the step, or a change of the plan; a refusal keeps what was written."""
    form, now = request.form, clock.now()
    subject = ApprovalSubject.PLAN if form.get("of") == ApprovalSubject.PLAN else ApprovalSubject.STEP
    reason = form.get("reason", "")[:REASON_CHARACTERS]
    try:
        with transaction() as session:
            approvals.approve(
                session,
                rollouts.find(session, flag),
                ChangeContext(now, authorization.actor(), reason),
                role=approvals.role_in_plan(authorization.role_here()),
                expected_version=form.get("version", 0, type=int),
                subject=subject,
            )
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(flag, refused=subject, reason=reason), problem.status
    flash(gettext("Approved. It holds until the step or the plan changes."), "success")
    return redirect(url_for("pages.approvals_of", flag=flag), 303)


def _page(flag: str, *, refused: ApprovalSubject | None = None, reason: str = "") -> str:
    with read_only() as session:
        screen = screens.read(session, flag, clock.now())
    return render_template("approvals.html", screen=screen, refused=refused, reason=reason)
