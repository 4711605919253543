"""One flag without a rollout: seen in sentences, switched, marked, deleted, brought back to an earlier version."""

from collections.abc import Callable
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.auth.authorization import require_role_on
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from dashboards.language import N_, gettext
from dashboards.mistakes import mistakes_of
from dashboards.problem_sentences import unchanged
from dashboards.view_models import flags as screens
from dashboards.views.blueprint import bp
from flags import store
from flags.administration import flag_versions
from flags.administration.definitions import delete_flag, switch_flag
from flags.administration.edits import edit_flag
from flags.api.requests import FlagEdit, RestoreRequest

SWITCH_ROLES = {"on": "owner", "off": "operator"}
REASON_CHARACTERS = 2000
Changes = Callable[[Session, ChangeContext], object]


@bp.get("/flag/<flag>")
@authorization.require_role("viewer")
def flag(flag: str) -> ResponseReturnValue:
    """Show who has the flag in each environment, and its versions; that of a rollout has another page."""
    return _page(flag)


@bp.post(f"/flag/<flag>/environments/<environment>/<any({', '.join(SWITCH_ROLES)}):verb>", endpoint="switch_flag")
def switch_flag_page(flag: str, environment: str, verb: str) -> ResponseReturnValue:
    """Switch the flag in one environment."""

    def switch(session: Session, change: ChangeContext) -> None:
        switch_flag(session, flag, environment, change, enabled=verb == "on")

    switched = N_("Switched on in %(environment)s.") if verb == "on" else N_("Switched off in %(environment)s.")
    done = gettext(switched, environment=environment)
    return authorization.require_role(SWITCH_ROLES[verb])(_changed)(flag, switch, done)


@bp.post("/flag/<flag>/marks")
@authorization.require_role("owner")
def change_flag(flag: str) -> ResponseReturnValue:
    """Change description, tags and stale mark, which are the same everywhere."""
    form = request.form

    def edit(session: Session, change: ChangeContext) -> None:
        fields = {"description": form.get("description", "").strip(), "stale": form.get("stale") == "yes"}
        tags = [each for each in form.get("tags", "").replace(",", " ").split() if each]
        wanted = FlagEdit.model_validate({"versions": _versions(), "reason": change.reason, "tags": tags, **fields})
        require_role_on("owner", flag, store.definitions_of(session, flag))
        edit_flag(session, flag, fields, change, versions=wanted.versions, tags=wanted.tags)

    return _changed(flag, edit, gettext("Changed in every environment."))


@bp.post("/flag/<flag>/delete")
@authorization.require_role("owner")
def remove_flag(flag: str) -> ResponseReturnValue:
    """Remove the flag from every environment; an earlier version brings it back."""

    def remove(session: Session, change: ChangeContext) -> None:
        require_role_on("owner", flag, store.definitions_of(session, flag))
        delete_flag(session, flag, change)

    return _changed(flag, remove, gettext("Deleted in every environment."))


@bp.post("/flag/<flag>/restore")
@authorization.require_role("owner")
def restore_flag(flag: str) -> ResponseReturnValue:
    """Make an earlier version the flag again."""

    def restore(session: Session, change: ChangeContext) -> None:
        wanted = RestoreRequest.model_validate({"entry": request.form.get("entry", ""), "reason": change.reason})
        before = set(store.definitions_of(session, flag))
        after = flag_versions.restore(session, flag, wanted.entry, change)
        # Whoever may not change the flag in each place undoes it all by this refusal.
        require_role_on("owner", flag, before | after.keys())

    return _changed(flag, restore, gettext("Restored in every environment."))


def _changed(flag: str, change: Changes, done: str) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    if not reason:
        flash(unchanged(gettext("Say why: a reason is required.")), "refusal")
        return _page(flag, 422)
    try:
        with transaction() as session:
            change(session, ChangeContext(clock.now(), authorization.actor(), reason))
        flash(done, "success")
    except (Problem, ValidationError) as refusal:
        if isinstance(refusal, Problem) and refusal.status == HTTPStatus.FORBIDDEN:
            raise
        flash(unchanged("\n".join(mistakes_of(refusal))), "refusal")
        return _page(flag, 422)  # with what was written still in the form
    return redirect(url_for("pages.flag", flag=flag), 303)


def _page(flag: str, status: int = 200) -> ResponseReturnValue:
    with read_only() as session:
        screen = screens.read(session, flag, clock.now())
    if screen is None:
        return redirect(url_for("pages.rollout", flag=flag), 303)
    return render_template("flag.html", screen=screen), status


def _versions() -> dict[str, str]:
    """Return the version of the flag in each environment, as the form saw them."""
    return dict(each.rpartition("=")[::2] for each in request.form.getlist("version"))
