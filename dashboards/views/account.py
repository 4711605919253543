"""One's own account: a password of one's choice."""

from datetime import UTC, datetime

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from control_plane.platform.auth import authorization
from control_plane.platform.identity_types import Person
from control_plane.platform.problems import Problem
from dashboards.views.blueprint import bp


@bp.get("/account")
@authorization.require_role("viewer")
def account() -> ResponseReturnValue:
    """Show one's own account and the forms that change it."""
    return render_template("account.html", person=authorization.person())


@bp.post("/account/password")
@authorization.require_role("viewer")
def change_own_password() -> ResponseReturnValue:
    """Take a new password, where the present one proves who asks."""
    try:
        _change_password(authorization.person())
        flash("Your password was changed.\nEverywhere else you were signed out.", "success")
    except Problem as problem:
        flash(f"Nothing was changed.\n{problem.detail}", "refusal")
    return redirect(url_for("pages.account"), 303)


def _change_password(person: Person | None) -> None:
    form = request.form
    if person is None:
        raise Problem(403, "PERSON_REQUIRED", "Only a person who has signed in has a password.")
    if form.get("password") != form.get("again"):
        raise Problem(422, "PASSWORDS_DIFFER", "The new password was typed in two ways; type the same twice.")
    authorization.change_own_password(person, form.get("present", ""), form.get("password", ""), now=datetime.now(UTC))
