"""People and tokens, for admins. A secret is shown in the answer to the form that made it, and nowhere else."""

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.platform import clock
from control_plane.platform.auth import accounts, authorization, grants, second_factor, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Role, TokenType
from control_plane.platform.problems import Problem
from dashboards.language import gettext
from dashboards.problem_sentences import unchanged
from dashboards.token_snippets import Snippet, snippets
from dashboards.view_models import people as screens
from dashboards.views.blueprint import bp

TOKEN_DAYS = (30, 90, 365)

Change = Callable[[Session, datetime], str | None]
"""Makes a change; returns what is to be said of it besides."""


@bp.get("/people")
@authorization.require_role("admin")
def people() -> ResponseReturnValue:
    """Return everybody who may sign in, and every token."""
    return _page()


def _page() -> str:
    with read_only() as session:
        screen = screens.read(session, me=authorization.person(), now=clock.now())
    return render_template("people.html", screen=screen, roles=list(Role), types=list(TokenType), days=TOKEN_DAYS)


@bp.post("/people")
@authorization.require_role("admin")
def add_person() -> ResponseReturnValue:
    """Let somebody sign in; their password is shown once."""
    username, role = request.form.get("username", ""), request.form.get("role", "")

    def add(session: Session, now: datetime) -> str:
        return accounts.add_person(session, username, role, now=now, actor=authorization.actor())

    return _secret_page(add, gettext("The password of %(username)s", username=username.strip().lower()))


@bp.post("/people/<int:person_id>/password")
@authorization.require_role("admin")
def renew_password(person_id: int) -> ResponseReturnValue:
    """Give somebody a new password, shown once, and end their sessions."""
    password = secrets.token_urlsafe(accounts.PASSWORD_BYTES)

    def renew(session: Session, now: datetime) -> str:
        accounts.change_password(session, person_id, password=password, now=now, actor=authorization.actor())
        return password

    return _secret_page(renew, gettext("The new password"))


@bp.post("/people/<int:person_id>/role")
@authorization.require_role("admin")
def change_role(person_id: int) -> ResponseReturnValue:
    """Give somebody another role and end their sessions."""
    role = request.form.get("role", "")

    def change(session: Session, now: datetime) -> str:
        return accounts.change_role(session, person_id, role=role, now=now, actor=authorization.actor()).sentence

    return _changed(change, gettext("The role was changed, and the person was signed out."))


@bp.post("/people/<int:person_id>/grants")
@authorization.require_role("admin")
def change_grants(person_id: int) -> ResponseReturnValue:
    """Give somebody roles for single flags and environments, in place of those that they have."""
    lines = [line.split() for line in request.form.get("grants", "").splitlines() if line.strip()]

    def change(session: Session, now: datetime) -> None:
        wanted = [grants.parse_grant(":".join(fields)) for fields in lines]
        accounts.change_grants(session, person_id, grants=wanted, now=now, actor=authorization.actor())

    return _changed(change, gettext("The roles were changed, and the person was signed out."))


@bp.post("/people/<int:person_id>/second-factor/reset")
@authorization.require_role("admin")
def reset_second_factor(person_id: int) -> ResponseReturnValue:
    """Let the password alone sign somebody in who has lost their device."""

    def reset(session: Session, now: datetime) -> None:
        person = accounts.find_person(session, person_id)
        second_factor.reset(session, person, now=now, **_actor_and_reason())

    done = gettext("The password alone signs them in; they set up a new device on their account.")
    return _changed(reset, done)


@bp.post("/people/<int:person_id>/sign-out")
@authorization.require_role("admin")
def end_sessions(person_id: int) -> ResponseReturnValue:
    """Sign somebody out everywhere."""
    return _changed(
        lambda session, now: accounts.end_sessions(session, person_id, now=now, actor=authorization.actor()),
        gettext("Signed out everywhere."),
    )


@bp.get("/people/<int:person_id>/lock")
@authorization.require_role("admin")
def ask_lock(person_id: int) -> ResponseReturnValue:
    """Ask before somebody is locked out, or let in again."""
    with read_only() as session:
        return render_template("lock.html", person=accounts.find_person(session, person_id))


@bp.post("/people/<int:person_id>/lock")
@authorization.require_role("admin")
def lock_out(person_id: int) -> ResponseReturnValue:
    """Lock somebody out and end their sessions."""
    return _changed(
        lambda session, now: accounts.disable_person(session, person_id, now=now, **_actor_and_reason()).sentence,
        gettext("Locked out, everywhere and at once."),
    )


@bp.post("/people/<int:person_id>/unlock")
@authorization.require_role("admin")
def unlock(person_id: int) -> ResponseReturnValue:
    """Let somebody who was locked out sign in again."""
    return _changed(
        lambda session, now: accounts.enable_person(session, person_id, now=now, **_actor_and_reason()),
        gettext("Unlocked: they sign in with the password and the role from before."),
    )


@bp.post("/tokens")
@authorization.require_role("admin")
def add_token() -> ResponseReturnValue:
    """Make a token; its text is shown once."""
    form = request.form
    days = form.get("days", 0, type=int)

    def add(session: Session, now: datetime) -> str:
        return tokens.create_token(
            session,
            tokens.NewToken(
                form.get("name", ""),
                form.get("type", ""),
                environment=form.get("environment", ""),
                role=form.get("role", ""),
                flags=form.get("flags", "").split(),
                projects=[each for each in form.get("projects", "").split(",") if each.strip()],
                expires_at=now + timedelta(days=days) if days in TOKEN_DAYS else None,
            ),
            now=now,
            actor=authorization.actor(),
        )

    def begin(secret: str) -> Sequence[Snippet]:
        return snippets(TokenType(form["type"]), request.url_root.rstrip("/"), secret)

    return _secret_page(add, gettext("The token %(name)s", name=form.get("name", "").strip()), begin)


@bp.post("/tokens/<int:token_id>/revoke")
@authorization.require_role("admin")
def revoke_token(token_id: int) -> ResponseReturnValue:
    """End a token."""
    reason = request.form.get("reason", "")[:2000]

    def revoke(session: Session, now: datetime) -> None:
        tokens.revoke_token(session, token_id, now=now, actor=authorization.actor(), reason=reason)

    return _changed(revoke, gettext("Revoked: whoever holds the token is refused within a second."))


def _actor_and_reason() -> dict[str, str]:
    return {"actor": authorization.actor(), "reason": request.form.get("reason", "")[:2000]}


def _changed(change: Change, done: str) -> ResponseReturnValue:
    try:
        with transaction() as session:
            more = change(session, clock.now())
    except Problem as problem:
        return _refused(problem)
    flash(f"{done}\n{more}" if more else done, "success")
    return redirect(url_for("pages.people"), 303)


def _refused(problem: Problem) -> ResponseReturnValue:
    """Show the page again, with what was written in the form."""
    flash(unchanged(problem), "refusal")
    return _page(), problem.status


def _secret_page(
    make: Callable[[Session, datetime], str], what: str, begin: Callable[[str], Sequence[Snippet]] = lambda _: ()
) -> ResponseReturnValue:
    """Show a new secret, and how a service begins with it.

    No 303 here: the secret would have to wait somewhere in between.
    """
    try:
        with transaction() as session:
            secret = make(session, clock.now())
    except Problem as problem:
        return _refused(problem)
    page = Response(render_template("secret_created.html", what=what, secret=secret, snippets=begin(secret)))
    page.headers["Cache-Control"] = "no-store"
    return page
