"""Erasing a person on request: looked up first, then done by an admin who has typed the id twice.

The id comes in the body of a form alone: an address would stay in the logs of every proxy.
"""

from flask import flash, render_template, request
from flask.typing import ResponseReturnValue

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from credits_engine.erasure import service
from credits_engine.erasure.service import Erased
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import erasures as screens
from dashboards.views.blueprint import bp

NAME_CHARACTERS = 255
NAMES_MAX = 20
REASON_CHARACTERS = 2000


@bp.get("/erasures")
@authorization.require_role("admin")
def erasures() -> ResponseReturnValue:
    """Show the form and the last erasures."""
    return _page()


@bp.post("/erasures")
@authorization.require_role("admin")
def erase_person() -> ResponseReturnValue:
    """Say what stands in the way of erasing a user, or erase them; a refusal keeps what was written."""
    user_id = request.form.get("user", "").strip()[:NAME_CHARACTERS]
    try:
        if request.form.get("do") != "erase":
            return _page(user_id)
        if request.form.get("again", "").strip() != user_id:
            return _page(user_id, gettext("This is another id than the one above; type the same.")), 422
        return _page(done=_erase(user_id))
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(user_id if _is_known(user_id) else ""), problem.status


def _erase(user_id: str) -> Erased:
    names = [name.strip() for name in request.form.get("also", "").splitlines() if name.strip()]
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    return service.erase(user_id, ChangeContext(clock.now(), authorization.actor(), reason), also=names[:NAMES_MAX])


def _is_known(user_id: str) -> bool:
    try:
        with read_only() as session:
            service.check(session, user_id, clock.now())
    except Problem:
        return False
    return True


def _page(user_id: str = "", mistake: str = "", *, done: Erased | None = None) -> str:
    with read_only() as session:
        screen = screens.read(session, clock.now(), user_id=user_id, mistake=mistake, done=done)
    return render_template("erasures.html", screen=screen)
