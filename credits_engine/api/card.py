"""The credits card: a fragment that the product's server puts into its pages, a page of its own, or JSON.

Whoever asks sends the user's token in a header, so the card is fetched by the product and never framed elsewhere.
"""

from flask import Blueprint, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.problems import Problem
from credits_engine.api import query_params, users
from credits_engine.api.product_users import acting_user
from credits_engine.operations.control_checks import read_as

bp = Blueprint(
    "credits_card", __name__, template_folder="templates", static_folder="static", static_url_path="/embed/static"
)

FORMS = ("page", "fragment", "json")


@bp.get("/embed/credits")
def card_view() -> ResponseReturnValue:
    """Return the card of the user whose token comes along. `?form=fragment` leaves out head and body."""
    user_id, now = acting_user(), clock.now()
    query_params.refuse_unknown("form", "userId")
    form = request.args.get("form", FORMS[0])
    if form not in FORMS:
        raise Problem(400, "UNKNOWN_FORM", f"form is {form[:50]!r}; use {', '.join(FORMS)}.")
    with read_only() as session:
        books, engine = users.serving_books(session, user_id, now)
    document = read_as(engine, lambda each: users.summary(books, each, now), account=user_id, now=now)
    if form == "json":
        return jsonify({"success": True, "data": document})
    rolled_over = [pack for pack in books.packs if pack.rolled_from]
    html = render_template(
        "credits_card.html",
        card=document,
        period_end=books.of(engine).period.end,
        rolled_over=rolled_over,
        whole=form == "page",
    )
    response = Response(html, mimetype="text/html")
    response.headers["Cache-Control"] = "private, no-store"
    return response
