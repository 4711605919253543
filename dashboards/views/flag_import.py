"""Flags from elsewhere on a page: a file or a text in Unleash's form, previewed, then imported by an owner."""

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane import strict_json
from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import EVERY
from control_plane.platform.problems import Problem, require_reason
from control_plane.strict_json import MalformedJSON
from dashboards.filters import count
from dashboards.language import gettext, ngettext
from dashboards.mistakes import mistakes_of
from dashboards.stored_sentences import localized_text
from dashboards.view_models import flag_import as screens
from dashboards.view_models.flag_import import ImportScreen
from dashboards.views.blueprint import bp, may
from flags import store
from flags.administration.imports import ImportOptions, import_definitions
from flags.administration.queries import list_environments
from flags.api.definitions import check_tags

NAME_CHARACTERS = 200
REASON_CHARACTERS = 2000


@bp.get("/flags/import")
@authorization.require_role("owner")
def import_form() -> ResponseReturnValue:
    """Show the empty form."""
    offered = _environments()
    return _page(ImportScreen(clock.now(), offered, "production" if "production" in offered else offered[0]))


@bp.post("/flags/import")
@authorization.require_role("owner")
def import_flags() -> ResponseReturnValue:
    """Import what was written or uploaded, or only say what that would do; a refusal keeps it in the form."""
    environment, text = request.form.get("environment", "")[:NAME_CHARACTERS], _text()
    authorization.require_role_on("owner", EVERY, [environment])
    form = ImportScreen(clock.now(), _environments(), environment, text, _options())
    try:
        if request.form.get("do") == "import":
            return _imported(environment, _parsed(text), form.options)
        with read_only() as session:
            preview = screens.read_preview(session, environment, _parsed(text), form.options)
    except Problem as problem:
        return _page(
            ImportScreen(form.now, form.environments, environment, text, form.options, mistakes_of(problem))
        ), 422
    return _page(ImportScreen(form.now, form.environments, environment, text, form.options, preview=preview))


def _imported(environment: str, raw: object, options: ImportOptions) -> ResponseReturnValue:
    reason = request.form.get("reason", "").strip()[:REASON_CHARACTERS]
    require_reason(reason)
    change = ChangeContext(clock.now(), authorization.actor(), reason)
    with transaction() as session:
        tags = store.tags(session)
        taken = import_definitions(session, environment, raw, change, options)
        check_tags(session, before=tags)
    done = ngettext(
        "%(count)s flag was imported into %(environment)s.",
        "%(count)s flags were imported into %(environment)s.",
        len(taken.features),
        count=count(len(taken.features)),
        environment=environment,
    )
    flash(done, "success")
    return redirect(url_for("pages.flags"), 303)


def _text() -> str:
    """Return the file that was chosen, else what was written. Bytes that are no text show as such."""
    file = request.files.get("file")
    if file and file.filename:
        return file.stream.read().decode("utf-8", errors="replace")
    return request.form.get("text", "").replace("\r\n", "\n")


def _parsed(text: str) -> object:
    try:
        return strict_json.loads(text)
    except MalformedJSON as malformed:
        detail = gettext("The text is no JSON: %(error)s.", error=localized_text(str(malformed)))
        raise Problem(422, "MALFORMED_JSON", detail) from malformed


def _options() -> ImportOptions:
    chosen = request.form.getlist("option")
    return ImportOptions(replace="replace" in chosen, all_or_nothing="all" in chosen, confirm_moving="moving" in chosen)


def _environments() -> list[str]:
    """Return the environments in which the person may import."""
    with read_only() as session:
        return [each["name"] for each in list_environments(session) if may("owner", f"{EVERY}@{each['name']}")]


def _page(screen: ImportScreen) -> str:
    return render_template("flag_import.html", screen=screen)
