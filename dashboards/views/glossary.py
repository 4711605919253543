"""The glossary: the words of ours in the language of the page."""

from flask import render_template, request
from flask.typing import ResponseReturnValue

from control_plane.platform import clock
from control_plane.platform.auth import authorization
from dashboards.glossary import terms
from dashboards.views.blueprint import bp

TEXT_CHARACTERS = 200


@bp.get("/glossary")
@authorization.require_role("viewer")
def glossary() -> ResponseReturnValue:
    """Show every term, or those that hold a text."""
    query = request.args.get("q", "").strip()[:TEXT_CHARACTERS]
    found = [each for each in terms() if query.casefold() in f"{each.name} {each.english} {each.meaning}".casefold()]
    return render_template("glossary.html", terms=found, asked=query, now=clock.now())
