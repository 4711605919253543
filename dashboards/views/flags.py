"""The list of flags without a rollout, and a new one."""

from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.auth.authorization import require_role_on
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import EVERY
from control_plane.platform.problems import Problem
from dashboards.language import gettext
from dashboards.mistakes import mistakes_of
from dashboards.view_models import flags as screens
from dashboards.views.blueprint import bp, may, row_id
from flags.administration.definitions import create_flag
from flags.administration.queries import FlagQuery, list_environments
from flags.api.requests import FlagRequest

TEXT_CHARACTERS = 200
STALE = {"yes": True, "no": False}


@bp.get("/flags")
@authorization.require_role("viewer")
def flags() -> ResponseReturnValue:
    """Show those that fit; filters and page are in the address."""
    return _page()


@bp.post("/flags", endpoint="create_flag")
@authorization.require_role("viewer")
def create_flag_page() -> ResponseReturnValue:
    """Make a flag that is off for everybody in the environments ticked, by an owner of each."""
    form = request.form
    try:
        wanted = FlagRequest.model_validate(
            {
                "name": form.get("name", "").strip(),
                "environments": dict.fromkeys(form.getlist("environment"), False),
                "description": form.get("description", "").strip(),
                "reason": form.get("reason", "").strip(),
            }
        )
        require_role_on("owner", wanted.name, wanted.environments)
        change = ChangeContext(clock.now(), authorization.actor(), wanted.reason)
        with transaction() as session:
            create_flag(session, wanted.name, wanted.environments, change, description=wanted.description)
    except (Problem, ValidationError) as refusal:
        flash("\n".join([gettext("Nothing was made."), *mistakes_of(refusal)]), "refusal")
        forbidden = isinstance(refusal, Problem) and refusal.status == HTTPStatus.FORBIDDEN
        return _page(), 403 if forbidden else 422
    flash(gettext("Made, and off everywhere."), "success")
    return redirect(url_for("pages.flag", flag=wanted.name), 303)


def _page() -> str:
    query = {name: request.args.get(name, "").strip()[:TEXT_CHARACTERS] for name in ("q", "tag", "project", "stale")}
    wanted = FlagQuery(query["project"], tag=query["tag"], text=query["q"], stale=STALE.get(query["stale"]))
    with read_only() as session:
        page = request.args.get("page", 1, type=row_id)
        screen = screens.read_list(session, wanted, page=page, now=clock.now())
        environments = [each["name"] for each in list_environments(session)]
    owned = [each for each in environments if may("owner", f"{EVERY}@{each}")]
    return render_template("flags.html", screen=screen, address=query, environments=environments, owned=owned)
