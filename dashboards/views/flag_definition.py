"""The editor of a flag without a rollout in one environment: its definition as JSON, checked as the API checks it."""

import re
from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.strict_json import MalformedJSON, loads
from dashboards.language import gettext
from dashboards.mistakes import mistakes_of
from dashboards.stored_sentences import localized_text
from dashboards.view_models import flags as screens
from dashboards.view_models.flags import DefinitionScreen
from dashboards.views.blueprint import bp
from flags.administration.edits import DECIDING, edit_definition
from flags.api.requests import ENVIRONMENT, DefinitionEdit

PLACE = "/flag/<flag>/environments/<environment>"
WOULD_MOVE = "USERS_WOULD_MOVE"


@bp.get(PLACE)
@authorization.require_role("owner")
def definition(flag: str, environment: str) -> ResponseReturnValue:
    """Show the editor of the flag in one environment, also in one that lacks it."""
    _check_environment(environment)
    with read_only() as session:
        screen = screens.read_definition(session, flag, environment, clock.now())
    return render_template("flag_definition.html", screen=screen)


@bp.post(PLACE)
@authorization.require_role("owner")
def change_definition(flag: str, environment: str) -> ResponseReturnValue:
    """Change the flag in one environment, or show the editor again with every mistake."""
    _check_environment(environment)
    try:
        repairs = _change(flag, environment)
    except (Problem, ValidationError) as refusal:
        if isinstance(refusal, Problem) and refusal.status == HTTPStatus.NOT_FOUND:
            raise
        return _refused(flag, environment, refusal), 422
    flash("\n".join([gettext("Changed in %(environment)s.", environment=environment), *repairs]), "success")
    return redirect(url_for("pages.flag", flag=flag), 303)


def _change(flag: str, environment: str) -> list[str]:
    """Make the change of the form; return what was repaired, one sentence each."""
    form = request.form
    wanted = DefinitionEdit.model_validate(
        {
            **_fields(form.get("text", "")),
            "version": form.get("version", ""),
            "reason": form.get("reason", "").strip(),
            "confirmMoving": form.get("confirm") == "yes",
        }
    )
    fields = {name: value for name in DECIDING if (value := getattr(wanted, name)) is not None}
    change = ChangeContext(clock.now(), authorization.actor(), wanted.reason)
    with transaction() as session:
        repairs = edit_definition(
            *(session, flag, environment, fields, change),
            version=wanted.version,
            confirm_moving=wanted.confirm_moving,
        )
    return [localized_text(each["message"]) for each in repairs]


def _fields(text: str) -> dict[str, object]:
    try:
        found = loads(text)
    except MalformedJSON as error:
        raise Problem(
            422, "MALFORMED_JSON", gettext("The text is no JSON: %(error)s.", error=localized_text(str(error)))
        ) from error
    if not isinstance(found, dict):
        raise Problem(
            422, "MALFORMED_JSON", gettext("An object with %(fields)s is needed.", fields=", ".join(DECIDING))
        )
    return found


def _refused(flag: str, environment: str, refusal: Problem | ValidationError) -> str:
    # The version that was seen stays: a second try must not overwrite what somebody else did meanwhile.
    version, text = request.form.get("version", 0, type=int), request.form.get("text", "")
    may_confirm = isinstance(refusal, Problem) and refusal.code == WOULD_MOVE
    screen = DefinitionScreen(
        clock.now(), flag, environment, version, text, mistakes_of(refusal), may_confirm=may_confirm
    )
    return render_template("flag_definition.html", screen=screen)


def _check_environment(environment: str) -> None:
    if not re.fullmatch(ENVIRONMENT, environment):
        detail = f"The environment {environment[:50]!r} can't be used; name one, such as production."
        raise Problem(422, "INVALID_ENVIRONMENT", detail)
