"""Users by name: let in, kept out, on the beta allowlist. What exposes is for owners, what protects for operators."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from dashboards.filters import count
from dashboards.language import N_, NN_, gettext, ngettext
from dashboards.problem_sentences import unchanged
from dashboards.view_models import users as screens
from dashboards.views.blueprint import bp
from flags.administration.overrides import put_override, remove_override
from flags.administration.users import UserChange, import_users
from flags.store import Effect

USER_CHARACTERS = 200
HOURS = {"1": N_("1 hour"), "24": N_("1 day"), "168": N_("7 days"), "720": N_("30 days")}
TO_PUT = {Effect.ALLOW: "owner", Effect.DENY: "operator"}
TO_END = {Effect.ALLOW: "operator", Effect.DENY: "owner"}
SEPARATORS = re.compile(r"[\s,;]+")
EFFECT = f"<any({', '.join(repr(effect.value) for effect in Effect)}):effect>"

Change = Callable[[Session, datetime], None]


@bp.get("/users")
@authorization.require_role("viewer")
def users() -> ResponseReturnValue:
    """Show the overrides and the beta allowlist."""
    return _page(request.args.get("flag", ""))


@bp.post(f"/users/<flag>/overrides/{EFFECT}")
def override(flag: str, effect: str) -> ResponseReturnValue:
    """Let a user in or keep one out, for a time or until somebody ends it."""
    form = request.form

    def put(session: Session, now: datetime) -> None:
        put_override(
            session,
            flag,
            form.get("user", "").strip(),
            Effect(effect),
            ChangeContext(now, authorization.actor(), form.get("reason", "")),
            expires_at=_end(form.get("hours", ""), now),
        )

    done = gettext("Let in by name.") if effect == Effect.ALLOW else gettext("Kept out by name.")
    return authorization.require_role(TO_PUT[Effect(effect)])(_changed)(put, done, flag)


@bp.post(f"/users/<flag>/overrides/{EFFECT}/end")
def end_override(flag: str, effect: str) -> ResponseReturnValue:
    """Treat a user like everybody again."""
    form = request.form

    def end(session: Session, now: datetime) -> None:
        remove_override(
            session,
            flag,
            form.get("user", ""),
            Effect(effect),
            ChangeContext(now, authorization.actor(), form.get("reason", "")),
        )

    return authorization.require_role(TO_END[Effect(effect)])(_changed)(
        end, gettext("Treated like everybody again."), flag
    )


@bp.post("/users/beta")
def change_beta() -> ResponseReturnValue:
    """Put users on the beta allowlist, which exposes them, or take some off it."""
    joining = request.form.get("beta") == "join"
    return authorization.require_role("owner" if joining else "operator")(_change_beta)(joining=joining)


def _change_beta(*, joining: bool) -> ResponseReturnValue:
    # Pasted from a list or a table: commas, semicolons and lines are between users, never in an id that one types.
    user_ids = list(dict.fromkeys(SEPARATORS.split(request.form.get("user", "").strip(" ,;\r\n\t"))))
    plan = request.form.get("plan", "")

    def enter(session: Session, now: datetime) -> None:
        attributes = {"beta": joining} | ({"plan": plan} if plan else {})
        changes = [UserChange(user_id, attributes) for user_id in user_ids]
        import_users(session, changes, actor=authorization.actor(), now=now)

    return _changed(enter, _beta_sentence(user_ids, joining=joining), request.form.get("flag", ""))


def _beta_sentence(user_ids: Sequence[str], *, joining: bool) -> str:
    values = {"user": user_ids[0], "count": count(len(user_ids))}
    if joining:
        one, many = NN_("%(user)s is on the beta allowlist.", "%(count)s users are on the beta allowlist.")
    else:
        one, many = NN_(
            "%(user)s is no longer on the beta allowlist.", "%(count)s users are no longer on the beta allowlist."
        )
    return ngettext(one, many, len(user_ids), **values)


def _changed(change: Change, done: str, flag: str) -> ResponseReturnValue:
    try:
        with transaction() as session:
            change(session, clock.now())
        flash(done, "success")
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return _page(flag), problem.status  # with what was written still in the form
    return redirect(url_for("pages.users", flag=flag or None), 303)


def _page(flag: str) -> str:
    with read_only() as session:
        places = {name: request.args.get(name, "")[:USER_CHARACTERS] for name in ("after", "beta_after")}
        screen = screens.read(session, flag=flag, now=clock.now(), **places)
    return render_template("users.html", screen=screen, hours={hours: gettext(label) for hours, label in HOURS.items()})


def _end(hours: str, now: datetime) -> datetime | None:
    return now + timedelta(hours=int(hours)) if hours in HOURS else None
