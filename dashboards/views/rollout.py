"""The page of one rollout: GET renders it, POST calls one use case and comes back with what became of it."""

from datetime import datetime
from functools import partial
from time import perf_counter

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Decision, Refusal
from control_plane.experiments.registry import migration_of
from control_plane.platform import clock, settings
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import PRODUCTION
from control_plane.rollout_names import environment_of, flag_of
from dashboards import actions, sse
from dashboards.chart_windows import ChartWindow, chart_window
from dashboards.filters import sentence_case
from dashboards.fragments import Fragments, rollout_fragments
from dashboards.language import N_, gettext
from dashboards.problem_sentences import reason_sentence
from dashboards.side_names import localized_names
from dashboards.view_models import rollout as screens
from dashboards.view_models.rollout import RolloutScreen
from dashboards.views.blueprint import bp, reader_language

ROLES = {
    "advance": "owner",
    "hold": "operator",
    "resume": "operator",
    "step-back": "operator",
    "rollback": "operator",
    "rearm": "owner",
}
IMPOSSIBLE = {
    "advance": N_("Nothing was changed: it is not possible to advance now."),
    "hold": N_("Nothing was changed: it is not possible to hold now."),
    "resume": N_("Nothing was changed: it is not possible to resume now."),
    "step-back": N_("Nothing was changed: it is not possible to step back now."),
    "rollback": N_("Nothing was changed: it is not possible to roll back now."),
    "rearm": N_("Nothing was changed: it is not possible to re-arm now."),
}
LATER = {"VERSION_CONFLICT", "GATE_CLOSED", "GATE_UNKNOWN", "REASON_REQUIRED", "COOL_DOWN"}
"""Why an action is refused that is still there to be taken."""
VERB = f"<any({', '.join(map(repr, ROLES))}):verb>"


@bp.get("/rollouts/<flag>")
@authorization.require_role("viewer")
def rollout(flag: str) -> ResponseReturnValue:
    """Show one rollout; how much time its charts show is in the address."""
    screen = _screen(flag, clock.now(), chart_window(request.args.get("window", "")))
    regions = rollout_fragments(screen)
    return render_template("rollout.html", screen=screen, regions=regions, silenced=lambda: screen.silenced)


@bp.get("/live/rollouts/<flag>")
@authorization.require_role("viewer")
def live_rollout(flag: str) -> ResponseReturnValue:
    """Stream the page as it changes."""
    with read_only() as session:
        rollouts.find(session, flag)
    return sse.stream(partial(_regions, flag, chart_window(request.args.get("window", ""))), reader_language)


@bp.get(f"/rollouts/<flag>/{VERB}")
@authorization.require_role("operator")
def action(flag: str, verb: str) -> ResponseReturnValue:
    """Return an action's own page: what it will do, and the reason it needs."""
    return _action_page(flag, verb)


@bp.post(f"/rollouts/<flag>/{VERB}")
def act(flag: str, verb: str) -> ResponseReturnValue:
    """Do it, if the caller's role covers it, and go back to the rollout."""
    return authorization.require_role(ROLES[verb])(_act)(flag, verb)


def _act(flag: str, verb: str) -> ResponseReturnValue:
    started = perf_counter()
    with transaction() as session:
        decision = _decide(session, flag, verb, clock.now())
    _flash_result(decision, verb, milliseconds=(perf_counter() - started) * 1000)
    if isinstance(decision, Refusal) and _is_still_wanted(decision):
        # Whoever still wants it has the new version before them, and what they wrote.
        return _action_page(flag, verb, request.form.get("reason", "")), 409
    return redirect(url_for("pages.rollout", flag=flag), 303)


def _is_still_wanted(refusal: Refusal) -> bool:
    """Return whether the same may be done later, or by another reason: the rollout is not past it."""
    return {reason.code for reason in refusal.reasons} <= LATER


def _action_page(flag: str, verb: str, reason: str = "") -> str:
    screen = _screen(flag, clock.now())
    action = actions.action(screen.rollout, verb, screen.names, entering=screen.entering)
    return render_template("action.html", screen=screen, action=action, reason=reason)


def _decide(session: Session, flag: str, verb: str, now: datetime) -> Decision:
    reason = request.form.get("reason", "")[:2000]
    change = ChangeContext(now, authorization.actor(), reason)
    version = request.form.get("version", 0, type=int)
    match verb:
        case "advance":
            return rollouts.advance(session, flag, change, expected_version=version, approval=reason)
        case "step-back":
            return rollouts.step_back(session, flag, change, expected_version=version)
        case "rearm":
            return rollouts.rearm(session, flag, change, expected_version=version)
        case "hold":
            return rollouts.hold(session, flag, change)
        case "resume":
            return rollouts.resume(session, flag, change)
        case _:
            in_all = "everywhere" in request.form
            if in_all and environment_of(flag):
                authorization.require_role_on("operator", flag_of(flag), [PRODUCTION])
            return rollouts.roll_back(session, flag, change, in_all=in_all)


def _flash_result(decision: Decision, verb: str, *, milliseconds: float) -> None:
    """Leave a message for the next page: what was done, or every reason why not."""
    if isinstance(decision, Refusal):
        reasons = [sentence_case(reason_sentence(reason)) for reason in decision.reasons]
        flash("\n".join([gettext(IMPOSSIBLE[verb]), *reasons]), "refusal")
        return
    done = actions.done(decision.before, decision.after, verb, localized_names(migration_of(decision.before.flag)))
    since = gettext("In force after %(ms)s ms, for every request from then on.", ms=round(milliseconds))
    flash(f"{done}\n{since}", "success")


def _regions(flag: str, window: ChartWindow, now: datetime) -> Fragments:
    return rollout_fragments(_screen(flag, now, window))


def _screen(flag: str, now: datetime, window: ChartWindow = ChartWindow.HOUR) -> RolloutScreen:
    lease_seconds = settings.current().guard_lease_seconds
    with read_only() as session:
        return screens.read(session, flag, now=now, lease_seconds=lease_seconds, window=window)
