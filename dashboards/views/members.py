"""Members of organisations on pages: who spends from whose account, added, limited and removed by an owner."""

from collections.abc import Callable, Mapping

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from credits_engine.administration import organisations
from credits_engine.engines.amounts import KINDS
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import members as screens
from dashboards.views.blueprint import bp

NAME_CHARACTERS = 200
REASON_CHARACTERS = 2000


@bp.get("/credits/members")
@authorization.require_role("owner")
def members() -> ResponseReturnValue:
    """Show the members of `account`, or the accounts that have some."""
    return _page(_name(request.args.get("account", "")))


@bp.post("/credits/members")
@authorization.require_role("owner")
def put_member() -> ResponseReturnValue:
    """Let a user spend from an account, or change the limits of one who does."""
    user_id, account_id = _name(request.form.get("user", "")), _name(request.form.get("account", ""))

    def put(session: Session, change: ChangeContext) -> None:
        organisations.add(session, user_id, account_id, _limits(), change)

    return _changed(put, gettext("From ten seconds on, %(user)s spends from this account.", user=user_id))


@bp.post("/credits/members/remove")
@authorization.require_role("owner")
def remove_member() -> ResponseReturnValue:
    """Let a user spend from their own account again."""
    user_id = _name(request.form.get("user", ""))

    def remove(session: Session, change: ChangeContext) -> None:
        organisations.remove(session, user_id, change)

    return _changed(remove, gettext("From ten seconds on, %(user)s spends from their own account.", user=user_id))


def _changed(make: Callable[[Session, ChangeContext], None], done: str) -> ResponseReturnValue:
    account_id = _name(request.form.get("account", ""))
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    try:
        require_reason(reason)
        with transaction() as session:
            make(session, ChangeContext(clock.now(), authorization.actor(), reason))
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(account_id), problem.status  # with what was written still in the form
    flash(done, "success")
    return redirect(url_for("pages.members", account=account_id), 303)


def _page(account_id: str) -> str:
    with read_only() as session:
        after = _name(request.args.get("after", ""))
        screen = screens.read(session, account_id, after=after, now=clock.now())
    return render_template("members.html", screen=screen)


def _limits() -> Mapping[str, int]:
    """Read the limits that were written; a kind without one has none. Raises Problem for what is no number."""
    written = {kind: request.form.get(f"limit-{kind}", "").strip() for kind in KINDS}
    try:
        return {kind: int(text) for kind, text in written.items() if text}
    except ValueError as error:
        detail = "A member's limit is a whole number; leave out what has none."
        raise Problem(422, "INVALID_LIMIT", detail) from error


def _name(text: str) -> str:
    return text.strip()[:NAME_CHARACTERS]
