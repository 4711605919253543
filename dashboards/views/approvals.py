"""The approvals of a rollout: who wants the next step or a change of the plan, and the form by which one joins them."""

from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.phases import Rollout
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.rollouts import approvals
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import approvals as screens
from dashboards.views.blueprint import bp

PATH = "/rollouts/<flag>/approvals"
REASON_CHARACTERS = 2000
Change = Callable[[Session, Rollout, ChangeContext, ApprovalSubject], str]
"""A change of the approvals; returns what is said once it is stored."""


@bp.get(PATH)
@authorization.require_role("viewer")
def approvals_of(flag: str) -> ResponseReturnValue:
    """Show who approves what, and what is missing."""
    return _page(flag)


@bp.post(PATH)
@authorization.require_role("operator")
def approve(flag: str) -> ResponseReturnValue:
    """Approve the step, or a change of the plan; a refusal keeps what was written."""

    def add(session: Session, found: Rollout, change: ChangeContext, subject: ApprovalSubject) -> str:
        version = request.form.get("version", 0, type=int)
        approvals.approve(session, found, change, role=_role(), expected_version=version, subject=subject)
        return gettext("Approved. It holds until the step or the plan changes.")

    return _changed(flag, add)


@bp.post(f"{PATH}/own")
@authorization.require_role("operator")
def withdraw_approval(flag: str) -> ResponseReturnValue:
    """Take one's own approval back."""

    def remove(session: Session, found: Rollout, change: ChangeContext, subject: ApprovalSubject) -> str:
        approvals.withdraw(session, found, change, subject)
        return gettext("Your approval is taken back.")

    return _changed(flag, remove)


def _changed(flag: str, change: Change) -> ResponseReturnValue:
    subject = ApprovalSubject.PLAN if request.form.get("of") == ApprovalSubject.PLAN else ApprovalSubject.STEP
    reason = request.form.get("reason", "")[:REASON_CHARACTERS]
    try:
        with transaction() as session:
            context = ChangeContext(clock.now(), authorization.actor(), reason)
            done = change(session, rollouts.find(session, flag), context, subject)
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(flag, refused=subject, reason=reason), problem.status
    flash(done, "success")
    return redirect(url_for("pages.approvals_of", flag=flag), 303)


def _page(flag: str, *, refused: ApprovalSubject | None = None, reason: str = "") -> str:
    actor = authorization.actor()
    with read_only() as session:
        screen = screens.read(session, flag, clock.now(), actor=actor, role=_role())
    return render_template("approvals.html", screen=screen, actor=actor, refused=refused, reason=reason)


def _role() -> str:
    return approvals.role_in_plan(authorization.role_here())
