"""The page after a rollback: the accounts that v2 harmed, and the corrections that an owner approves."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from credits_engine.remediation import approval
from credits_engine.remediation.approval import ApprovalRefused
from dashboards.filters import count
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import remediation as screens
from dashboards.views.blueprint import bp

REASON_CHARACTERS = 2000


@bp.get("/rollouts/<flag>/rollbacks/<int:attempt>")
@authorization.require_role("owner")
def remediation(flag: str, attempt: int) -> ResponseReturnValue:
    """Return one report with its accounts."""
    return _page(flag, attempt)


def _page(flag: str, attempt: int) -> str:
    after = request.args.get("after", "")
    with read_only() as session:
        screen = screens.read(session, flag, attempt, after=after, now=clock.now())
    return render_template("remediation.html", screen=screen, view=screen.view)


@bp.post("/rollouts/<flag>/rollbacks/<int:attempt>")
@authorization.require_role("owner")
def approve_corrections(flag: str, attempt: int) -> ResponseReturnValue:
    """Give back what the report proposes; sent twice, it is given once. A refusal keeps what was written."""
    now, reason = clock.now(), request.form.get("reason", "")[:REASON_CHARACTERS]
    try:
        with transaction() as session:
            approval.approve(session, flag, attempt, now=now, actor=authorization.actor(), reason=reason)
        posted = approval.post_approved(now)
        done = gettext(
            "Approved: credits of %(count)s accounts are corrected. The others follow by themselves.",
            count=count(posted),
        )
        flash(done, "success")
    except ApprovalRefused as refusal:
        flash(unchanged(str(refusal)), "refusal")
        return _page(flag, attempt), 422
    return redirect(url_for("pages.remediation", flag=flag, attempt=attempt), 303)
