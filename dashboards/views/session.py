"""Signing in and out, and choosing colours: forms that answer 303."""

from flask import Response, jsonify, redirect, render_template, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from werkzeug.wrappers import Response as AnyResponse

from control_plane.platform import clock
from control_plane.platform.auth import authentication, authorization, oidc, page_addresses, passkey_sign_in
from control_plane.platform.problems import Problem
from dashboards.language import gettext
from dashboards.problem_sentences import problem_sentence
from dashboards.views.blueprint import THEME_COOKIE, THEMES, bp

NEXT = "next"
"""In the cookie, the page that was wanted before the provider was asked."""
YEAR_SECONDS = 31_536_000


@bp.get("/sign-in")
def sign_in_page() -> ResponseReturnValue:
    """Return the form; whoever is signed in already goes on."""
    target = page_addresses.local_path(request.args.get("next"))
    if authorization.person() is not None:
        return redirect(target, 303)
    return _form(target)


@bp.post("/sign-in")
def sign_in() -> ResponseReturnValue:
    """Start a session, or say why not and keep the username."""
    target = page_addresses.local_path(request.form.get("next"))
    username = request.form.get("username", "")
    try:
        found = authentication.sign_in(username, request.form.get("password", ""), now=clock.now())
    except Problem as problem:
        return _form(target, username=username, refusal=problem_sentence(problem)), problem.status, problem.headers
    return redirect(url_for("pages.code_page", next=target) if found.has_second_factor else target, 303)


@bp.get("/sign-in/code")
def code_page() -> ResponseReturnValue:
    """Return the second form, for those whose password alone is not enough."""
    return _code_form(page_addresses.local_path(request.args.get("next")))


@bp.post("/sign-in/code")
def confirm() -> ResponseReturnValue:
    """Start the session, or say why not."""
    target = page_addresses.local_path(request.form.get("next"))
    try:
        authentication.confirm(request.form.get("code", ""), now=clock.now())
    except Problem as problem:
        if problem.code == "SIGN_IN_AGAIN":
            return _form(target, refusal=problem_sentence(problem)), problem.status, problem.headers
        return _code_form(target, refusal=problem_sentence(problem)), problem.status, problem.headers
    return redirect(target, 303)


@bp.post("/sign-in/passkey/question")
def passkey_question() -> ResponseReturnValue:
    """Return what a browser needs to let a passkey sign."""
    return jsonify(passkey_sign_in.question(now=clock.now()))


@bp.post("/sign-in/passkey")
def sign_in_by_passkey() -> ResponseReturnValue:
    """Start the session of whoever the passkey proves, or say why not."""
    target = page_addresses.local_path(request.form.get("next"))
    try:
        passkey_sign_in.sign_in(request.form.get("credential", ""), now=clock.now())
    except Problem as problem:
        return _form(target, refusal=problem_sentence(problem)), problem.status, problem.headers
    return redirect(target, 303)


@bp.get("/sign-in/provider")
def go_to_provider() -> AnyResponse:
    """Let the identity provider say who this is."""
    response = oidc.send_to_provider(url_for("pages.come_from_provider", _external=True))
    cookie[NEXT] = page_addresses.local_path(request.args.get("next"))
    return response


@bp.get("/sign-in/provider/done")
def come_from_provider() -> ResponseReturnValue:
    """Start the session of whoever the identity provider says this is, or say why not."""
    target = page_addresses.local_path(cookie.get(NEXT))
    try:
        oidc.finish(now=clock.now())
    except Problem as problem:
        return _form(target, refusal=problem_sentence(problem)), problem.status, problem.headers
    return redirect(target, 303)


@bp.get("/sign-out/provider")
def leave_provider() -> AnyResponse:
    """Sign out of the identity provider as well: otherwise its next sign-in asks for nothing."""
    back = url_for("pages.sign_in_page", _external=True)
    return redirect(oidc.sign_out_address(back) or back, 303)


@bp.post("/sign-out")
def sign_out() -> ResponseReturnValue:
    """End the session of this browser."""
    by_provider = bool(cookie.get(authentication.BY_PROVIDER))
    authentication.sign_out()
    # Not sent there at once: browsers let no form lead to another site under our policy.
    return redirect(url_for("pages.sign_in_page", left="provider" if by_provider else None), 303)


@bp.post("/theme")
def choose_theme() -> AnyResponse:
    """Remember the colours in this browser; an empty choice follows the system."""
    response = redirect(page_addresses.local_path(request.form.get("next")), 303)
    chosen = request.form.get("theme", "")
    if chosen in THEMES:
        response.set_cookie(THEME_COOKIE, chosen, max_age=YEAR_SECONDS, httponly=True, samesite="Lax")
    else:
        response.delete_cookie(THEME_COOKIE)
    return response


def _code_form(target: str, *, refusal: str = "") -> Response:
    person = authentication.proved_person()
    if person is None:
        return _form(target, refusal=gettext("That took too long; sign in again."))
    page = Response(render_template("sign_in_code.html", next=target, refusal=refusal, person=person))
    page.headers["Cache-Control"] = "no-store"
    return page


def _form(target: str, *, username: str = "", refusal: str = "") -> Response:
    values = {"next": target, "username": username, "refusal": refusal}
    page = Response(render_template("sign_in.html", **values, provider=oidc.is_configured()))
    page.headers["Cache-Control"] = "no-store"
    return page
