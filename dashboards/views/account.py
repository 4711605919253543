"""One's own account: a password of one's choice, a second factor beside it, and passkeys in its place."""

from flask import Response, flash, jsonify, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from markupsafe import Markup

from control_plane.platform import clock
from control_plane.platform.auth import accounts, authentication, authorization, own_sessions, passkeys, second_factor
from control_plane.platform.db.database import transaction
from control_plane.platform.identity_types import Person
from control_plane.platform.problems import Problem
from dashboards.language import LANGUAGES, gettext, set_language
from dashboards.problem_sentences import unchanged
from dashboards.views.blueprint import bp, reader_language
from dashboards.views.refusals import flash_refusal

SETUP = "second_factor_setup"
"""Where a secret waits in the cookie until its device has proved itself; only its reader has the cookie."""
PASSKEY_SETUP = "passkey_setup"
"""In the cookie, the question that a new passkey is to answer."""


@bp.get("/account")
@authorization.require_role("viewer")
def account() -> ResponseReturnValue:
    """Show one's own account and the forms that change it."""
    person = _person()
    return render_template(
        "account.html",
        person=person,
        required=authentication.lacks_second_factor(person),
        sessions=own_sessions.own_sessions(person, clock.now()),
    )


@bp.post("/account/password")
@authorization.require_role("viewer")
def change_own_password() -> ResponseReturnValue:
    """Take a new password, where the present one proves who asks."""
    with flash_refusal():
        _change_password(_person())
        flash(gettext("Your password was changed.\nEverywhere else you were signed out."), "success")
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/sessions/end")
@authorization.require_role("viewer")
def end_own_session() -> ResponseReturnValue:
    """Sign out one browser of one's own, also this one."""
    own_sessions.end(_person(), request.form.get("session", ""), now=clock.now())
    flash(gettext("That browser was signed out."), "success")
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/sessions/end-others")
@authorization.require_role("viewer")
def end_other_sessions() -> ResponseReturnValue:
    """Sign out every browser of one's own but this one."""
    own_sessions.end_others(_person(), now=clock.now())
    flash(gettext("Everywhere else you were signed out."), "success")
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/second-factor/begin")
@authorization.require_role("viewer")
def begin_second_factor() -> ResponseReturnValue:
    """Show a new secret for a device to read; it counts once a code of the device has proved that it did."""
    import segno  # noqa: PLC0415 - only who sets up a second factor needs a picture

    person = _person()
    secret = cookie[SETUP] = second_factor.new_secret()
    address = second_factor.address(person, secret)
    picture = Markup(segno.make(address).svg_inline(scale=5, light="white"))  # noqa: S704 - drawn here
    return _unstored(render_template("second_factor.html", secret=secret, address=address, picture=picture))


@bp.post("/account/second-factor")
@authorization.require_role("viewer")
def enable_second_factor() -> ResponseReturnValue:
    """Ask for codes from now on, if this one fits; the recovery codes are shown once."""
    person, form, now = _person(), request.form, clock.now()
    try:
        authentication.check_password(person, form.get("present", ""), now=now)
        with transaction() as database_session:
            secret = str(cookie.get(SETUP, ""))
            codes = second_factor.enable(database_session, person, secret, form.get("code", ""), now=now)
            own_sessions.renew(database_session, person)
    except Problem as problem:
        flash(unchanged(problem), "refusal")
        return redirect(url_for("pages.account"), 303)
    cookie.pop(SETUP, None)
    return _unstored(render_template("recovery_codes.html", codes=codes))


@bp.post("/account/second-factor/remove")
@authorization.require_role("viewer")
def remove_second_factor() -> ResponseReturnValue:
    """Ask for the password alone again, where password and code prove who wants that."""
    person, form, now = _person(), request.form, clock.now()
    with flash_refusal():
        authentication.check_password(person, form.get("present", ""), now=now)
        authentication.check_code(person, form.get("code", ""), now=now)
        with transaction() as database_session:
            second_factor.remove(database_session, person, now=now, actor=person.username)
        flash(gettext("No code is asked for from now on."), "success")
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/passkeys/question")
@authorization.require_role("viewer")
def new_passkey_question() -> ResponseReturnValue:
    """Return what a browser needs to make a passkey of this person."""
    options, state = passkeys.registration(_person(), request.host)
    cookie[PASSKEY_SETUP] = state
    return jsonify(options)


@bp.post("/account/passkeys")
@authorization.require_role("viewer")
def add_passkey() -> ResponseReturnValue:
    """Let a new passkey sign this person in, where password, and code if there is one, prove who wants that."""
    person, form, now = _person(), request.form, clock.now()
    state = cookie.pop(PASSKEY_SETUP, {})
    with flash_refusal():
        authentication.check_password(person, form.get("present", ""), now=now)
        if person.has_device:
            authentication.check_code(person, form.get("code", ""), now=now)
        answer = passkeys.RegistrationAnswer(state, request.host, form.get("credential", ""))
        with transaction() as database_session:
            made = passkeys.add(database_session, person, answer, name=form.get("name", ""), now=now)
            own_sessions.renew(database_session, person)
        flash(
            gettext("The passkey %(name)s was added.\nEverywhere else you were signed out.", name=made.name), "success"
        )
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/passkeys/remove")
@authorization.require_role("viewer")
def remove_passkey() -> ResponseReturnValue:
    """Let a passkey sign nobody in any more, where the password proves who wants that."""
    person, form, now = _person(), request.form, clock.now()
    with flash_refusal():
        authentication.check_password(person, form.get("present", ""), now=now)
        with transaction() as database_session:
            gone = passkeys.remove(database_session, person, form.get("passkey", ""), now=now)
            own_sessions.renew(database_session, person)
        flash(gettext("The passkey %(name)s was removed.", name=gone.name), "success")
    return redirect(url_for("pages.account"), 303)


@bp.post("/account/language")
@authorization.require_role("viewer")
def change_language() -> ResponseReturnValue:
    """Read pages in another language from now on; an empty choice goes by the browser."""
    person, code = _person(), request.form.get("language", "") or None
    if code is not None and code not in LANGUAGES:
        raise Problem(422, "UNKNOWN_LANGUAGE", f"Pages are in {', '.join(LANGUAGES)}; choose one of those.")
    with transaction() as database_session:
        accounts.change_language(database_session, person, code, now=clock.now(), actor=person.username)
    authentication.reload_principal()
    set_language(reader_language())
    flash(gettext("Pages are in this language from now on."), "success")
    return redirect(url_for("pages.account"), 303)


def _change_password(person: Person) -> None:
    form = request.form
    if form.get("password") != form.get("again"):
        raise Problem(422, "PASSWORDS_DIFFER", "The new password was typed in two ways; type the same twice.")
    authentication.change_own_password(person, form.get("present", ""), form.get("password", ""), now=clock.now())


def _person() -> Person:
    """Return the person signed in. Raises a 403 Problem for a token, which has no account of its own."""
    person = authorization.person()
    if person is None:
        raise Problem(403, "PERSON_REQUIRED", "Only a person who has signed in has an account here.")
    return person


def _unstored(html: str) -> Response:
    page = Response(html)
    page.headers["Cache-Control"] = "no-store"
    return page
