"""Merging a user into another on a page: both are looked at side by side first."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from credits_engine.billing.inbox import merges
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.stored_sentences import localized_text
from dashboards.view_models import merges as screens
from dashboards.views.blueprint import bp

NAME_CHARACTERS = 200
REASON_CHARACTERS = 2000


@bp.get("/credits/merge")
@authorization.require_role("owner")
def merge() -> ResponseReturnValue:
    """Show what the two users have that are named, and what stands in the way."""
    return _page(*_named(request.args.get("user", ""), request.args.get("into", "")))


@bp.post("/credits/merge")
@authorization.require_role("owner")
def merge_users() -> ResponseReturnValue:
    """Make everything that one has bought the other's; a refusal keeps what was written."""
    user_id, into = _named(request.form.get("user", ""), request.form.get("into", ""))
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    try:
        require_reason(reason)
        with transaction() as session:
            change = ChangeContext(clock.now(), authorization.actor(), reason)
            changes = merges.merge(session, user_id, into, change)
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(user_id, into), problem.status
    done = gettext("%(user)s is part of %(into)s now.", user=user_id, into=into)
    flash("\n".join([done, *map(localized_text, changes)]), "success")
    return redirect(url_for("pages.credits", user=into), 303)


def _page(user_id: str, into: str) -> str:
    with read_only() as session:
        screen = screens.read(session, user_id, into, clock.now())
    return render_template("merge.html", screen=screen)


def _named(user_id: str, into: str) -> tuple[str, str]:
    return user_id.strip()[:NAME_CHARACTERS], into.strip()[:NAME_CHARACTERS]
