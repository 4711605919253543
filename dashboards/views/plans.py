"""Plans on pages: a new rollout from a template, and the plan of a rollout edited, previewed and restored."""

from collections.abc import Callable

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan
from control_plane.core.transitions import Action, Decision, Reason, Refusal
from control_plane.plans import administration, document, form
from control_plane.plans.document import InvalidPlan
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from dashboards.language import gettext
from dashboards.problem_sentences import reason_sentence, unchanged
from dashboards.view_models import plans as screens
from dashboards.view_models.plans import PlanScreen
from dashboards.views.blueprint import bp

FIRST_TEMPLATE = "guide"


@bp.get("/new-rollout")
@authorization.require_role("owner")
def new_rollout() -> ResponseReturnValue:
    """Begin with a template."""
    template = request.args.get("template", FIRST_TEMPLATE)
    with read_only() as session:
        return _page(screens.new(session, request.args.get("flag", ""), template, clock.now()))


@bp.post("/new-rollout")
@authorization.require_role("owner")
def create_rollout() -> ResponseReturnValue:
    """Make the flag with its rollout, or only say what that would mean."""
    return _changed(request.form.get("flag", "").strip()[:200], _planned)


@bp.get("/rollouts/<flag>/plan")
@authorization.require_role("viewer")
def plan(flag: str) -> ResponseReturnValue:
    """Show the plan of a rollout, for owners to edit."""
    with read_only() as session:
        return _page(screens.read(session, flag, clock.now()))


@bp.post("/rollouts/<flag>/plan")
def edit_plan(flag: str) -> ResponseReturnValue:
    """Put another plan in its place, or only say what that would mean."""
    return authorization.require_role("owner")(_changed)(flag, _edited)


@bp.post("/rollouts/<flag>/plan/versions/<int:number>")
def restore_plan(flag: str, number: int) -> ResponseReturnValue:
    """Make an earlier plan the plan again."""
    return authorization.require_role("owner")(_restored)(flag, number)


def _restored(flag: str, number: int) -> ResponseReturnValue:
    with transaction() as session:
        version = request.form.get("version", 0, type=int)
        decision = administration.restore(session, flag, number, _change(), expected_version=version)
        wanted = administration.version(session, flag, number).plan
    _flash(decision, gettext("Version %(number)s is the plan again.", number=number))
    if isinstance(decision, Refusal):  # saved from the editor, where users who lose the flag by it can be confirmed
        return _preview(flag, document.to_yaml(wanted), version), 409
    return redirect(url_for("pages.plan", flag=flag), 303)


def _changed(flag: str, decide: Callable[[str, str], Decision]) -> ResponseReturnValue:
    do = request.form.get("do", "preview")
    text = _arranged(_written(), do)
    version = request.form.get("version", 0, type=int)
    if do != "save":
        return _preview(flag, text, version), 200
    try:
        decision = decide(flag, text)
    except InvalidPlan:
        return _preview(flag, text, version), 422
    _flash(decision, gettext("%(flag)s has this plan now.", flag=flag))
    if isinstance(decision, Refusal):
        # Whoever was told that somebody was faster may save over it.
        return _preview(flag, text, 0), 409
    return redirect(url_for("pages.rollout", flag=flag), 303)


def _written() -> str:
    """Return the plan that somebody wrote: the YAML, with what was changed in the form beside it."""
    text, base = (request.form.get(name, "") for name in ("text", "base"))
    return form.merge(text, base, request.form)


def _arranged(text: str, do: str) -> str:
    """Return the text after a button of the form that adds, removes or moves a phase."""
    name, _, number = do.partition(":")
    index = int(number) if number.isdecimal() and len(number) < 5 else -1
    match name:
        case "add":
            return form.with_phase_added(text)
        case "remove":
            return form.with_phase_removed(text, index)
        case "earlier" | "later":
            return form.with_phase_moved(text, index, -1 if name == "earlier" else 1)
        case _:
            return text


def _planned(flag: str, text: str) -> Decision:
    name, wanted = _read(flag, text)
    if outdated := _outdated(Action.PLAN, wanted):
        return outdated
    with transaction() as session:
        return rollouts.plan(session, name, wanted, _change("Planned."), confirm_losing=_confirmed())


def _edited(flag: str, text: str) -> Decision:
    # The rollout of the address, whichever environment the text names: it is there that the role counts.
    _, wanted = _read(flag, text)
    if outdated := _outdated(Action.EDIT_PLAN, wanted):
        return outdated
    version = request.form.get("version", 0, type=int)
    with transaction() as session:
        return administration.edit(
            session, flag, wanted, _change(), expected_version=version, confirm_losing=_confirmed()
        )


def _read(flag: str, text: str) -> tuple[str, Plan]:
    # A long text takes seconds to read, in which nobody else should wait to write.
    with read_only() as session:
        return administration.read_text(session, flag, text)


def _outdated(action: Action, wanted: Plan) -> Refusal | None:
    """Refuse what would take other conditions from a segment than the page showed, whoever confirmed those."""
    changed = screens.changed_segments(wanted, request.form)
    sentence = "Segment {} was changed since you saw it; look at what the plan would change, then save it again."
    reasons = (Reason("SEGMENT_CHANGED", sentence.format(name)) for name in changed)
    return Refusal(action, tuple(reasons)) if changed else None


def _confirmed() -> bool:
    return request.form.get("confirm") == "yes"


def _preview(flag: str, text: str, version: int) -> str:
    with read_only() as session:
        return _page(screens.preview_text(session, flag, text, _change("A preview."), seen_version=version))


def _page(screen: PlanScreen) -> str:
    return render_template("plan.html", screen=screen)


def _change(otherwise: str = "") -> ChangeContext:
    return ChangeContext(clock.now(), authorization.actor(), request.form.get("reason", "")[:2000] or otherwise)


def _flash(decision: Decision, done: str) -> None:
    if isinstance(decision, Refusal):
        flash(unchanged("\n".join(map(reason_sentence, decision.reasons))), "refusal")
    else:
        flash(done, "success")
