"""Segments: listed and searched, read in words, written as YAML with a preview, removed where nothing uses them."""

from http import HTTPStatus

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from control_plane.change_context import ChangeContext
from control_plane.plans import yaml_text
from control_plane.plans.yaml_text import MalformedYAML
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import EVERY
from control_plane.platform.problems import Problem
from dashboards.language import gettext
from dashboards.mistakes import mistakes_of
from dashboards.problem_sentences import unchanged
from dashboards.stored_sentences import localized_text
from dashboards.view_models import segments as screens
from dashboards.view_models.segments import PreviewView, SegmentForm
from dashboards.views.blueprint import bp, row_id
from flags.administration.segments import edit_segment, free_number, read_segment, remove_segment
from flags.api.requests import RemovalRequest, SegmentEdit

TEXT_CHARACTERS = 200
PLACE = "/segments/<environment>/<int:number>"
Refused = Problem | ValidationError


@bp.get("/segments")
@authorization.require_role("viewer")
def segments() -> ResponseReturnValue:
    """Show those that fit; filters and page are in the address."""
    query = {name: request.args.get(name, "").strip()[:TEXT_CHARACTERS] for name in ("q", "environment")}
    page = request.args.get("page", 1, type=row_id)
    with read_only() as session:
        screen = screens.read_list(
            session, text=query["q"], environment=query["environment"], page=page, now=clock.now()
        )
    return render_template("segments.html", screen=screen, address=query)


@bp.get(PLACE)
@authorization.require_role("viewer")
def segment(environment: str, number: int) -> ResponseReturnValue:
    """Show one segment."""
    return _page(environment, number)


@bp.get("/new-segment")
@authorization.require_role("owner")
def new_segment() -> ResponseReturnValue:
    """Begin an empty one."""
    with read_only() as session:
        offered = screens.environments(session)
    environment = request.args.get("environment", "")
    chosen = environment if environment in offered else offered[0]
    return _form(SegmentForm(clock.now(), chosen, None, 0, "", "", offered))


@bp.get("/segments/<environment>/new")
@authorization.require_role("owner")
def new_segment_in(environment: str) -> ResponseReturnValue:
    """Begin an empty one where the address says: an owner of one environment is one there alone."""
    return _form(SegmentForm(clock.now(), environment, None, 0, "", "", (environment,)))


@bp.get(f"{PLACE}/edit")
@authorization.require_role("owner")
def segment_form(environment: str, number: int) -> ResponseReturnValue:
    """Show the editor, also with an earlier version in it."""
    with read_only() as session:
        entry = request.args.get("entry", type=row_id)
        return _form(screens.read_form(session, environment, number, entry=entry, now=clock.now()))


@bp.post("/new-segment")
@authorization.require_role("owner")
def create_segment() -> ResponseReturnValue:
    """Make a segment in the environment chosen, or only say what it would be."""
    environment = request.form.get("environment", "")[:TEXT_CHARACTERS]
    authorization.require_role_on("owner", EVERY, [environment])
    return _written(environment, None)


@bp.post("/segments/<environment>/new")
@authorization.require_role("owner")
def create_segment_in(environment: str) -> ResponseReturnValue:
    """Make a segment in the environment of the address, or only say what it would be."""
    return _written(environment, None)


@bp.post(f"{PLACE}/edit")
@authorization.require_role("owner")
def change_segment(environment: str, number: int) -> ResponseReturnValue:
    """Put what was written in its place, or only say what that would change."""
    return _written(environment, number)


@bp.post(f"{PLACE}/remove", endpoint="remove_segment")
@authorization.require_role("owner")
def remove_segment_page(environment: str, number: int) -> ResponseReturnValue:
    """Remove a segment that no flag refers to."""
    form = request.form
    try:
        fields = {"version": form.get("version", ""), "reason": form.get("reason", "").strip()}
        wanted = RemovalRequest.model_validate(fields)
        with transaction() as session:
            remove_segment(session, environment, number, _change(wanted.reason), version=wanted.version)
    except (Problem, ValidationError) as refusal:
        if isinstance(refusal, Problem) and refusal.status == HTTPStatus.NOT_FOUND:
            raise
        flash(unchanged("\n".join(mistakes_of(refusal))), "refusal")
        return _page(environment, number, 422)
    flash(gettext("Removed from %(environment)s.", environment=environment), "success")
    return redirect(url_for("pages.segments"), 303)


def _written(environment: str, number: int | None) -> ResponseReturnValue:
    """Save what was written, or show it again with its mistakes, or with what it would change."""
    try:
        wanted, place = _wanted(), _number(environment, number)
        if request.form.get("do") != "save":
            return _form(_again(environment, number, preview=_preview(environment, place, wanted)))
        fields = {"name": wanted.name, "constraints": wanted.constraints}
        with transaction() as session:
            edit_segment(session, environment, place, fields, _change(wanted.reason), version=wanted.version)
    except (Problem, ValidationError) as refusal:
        return _form(_again(environment, number, refusal)), 422
    flash(gettext("Saved in %(environment)s.", environment=environment), "success")
    return redirect(url_for("pages.segment", environment=environment, number=place), 303)


def _wanted() -> SegmentEdit:
    """Read the form; a preview needs no reason."""
    form = request.form
    reason = form.get("reason", "").strip()
    return SegmentEdit.model_validate(
        {
            "version": form.get("version", ""),
            "reason": reason if form.get("do") == "save" else reason or "A preview.",
            "name": form.get("name", "").strip(),
            "constraints": _constraints(form.get("text", "")),
        }
    )


def _constraints(text: str) -> object:
    try:
        found, _ = yaml_text.load(text)
    except MalformedYAML as malformed:
        where = gettext("Line %(line)s", line=malformed.line)
        raise Problem(422, "MALFORMED_YAML", f"{where}: {localized_text(str(malformed))}") from malformed
    return [] if found is None else found


def _number(environment: str, number: int | None) -> int:
    if number is not None:
        return number
    with read_only() as session:
        if environment not in screens.environments(session):
            detail = f"The environment {environment[:50]!r} can't be used; name one, such as production."
            raise Problem(422, "INVALID_ENVIRONMENT", detail)
        return free_number(session, environment)


def _preview(environment: str, number: int, wanted: SegmentEdit) -> PreviewView:
    with read_only() as session:
        wire = read_segment(number, {"name": wanted.name, "constraints": wanted.constraints})
        return screens.read_preview(session, environment, wire, clock.now())


def _again(
    environment: str, number: int | None, refusal: Refused | None = None, preview: PreviewView | None = None
) -> SegmentForm:
    form = request.form
    with read_only() as session:
        offered = screens.environments(session) if number is None and not request.view_args else ()
    # The version that was seen stays: a second try must not overwrite what somebody else did meanwhile.
    version, mistakes = form.get("version", 0, type=row_id), mistakes_of(refusal) if refusal else ()
    name, text = form.get("name", "")[:TEXT_CHARACTERS], form.get("text", "")
    environments = offered or ((environment,) if number is None else ())
    return SegmentForm(clock.now(), environment, number, version, name, text, environments, mistakes, preview)


def _form(form: SegmentForm) -> str:
    return render_template("segment_form.html", form=form)


def _page(environment: str, number: int, status: int = 200) -> ResponseReturnValue:
    with read_only() as session:
        screen = screens.read(session, environment, number, clock.now())
    return render_template("segment.html", screen=screen), status


def _change(reason: str) -> ChangeContext:
    return ChangeContext(clock.now(), authorization.actor(), reason)
