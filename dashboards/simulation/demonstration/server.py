"""The server of a demonstration: the product's pages, with a form above them that orders faults."""

import sys
from pathlib import Path

from flask import Blueprint, Flask, redirect, request
from flask.typing import ResponseReturnValue

from control_plane import server
from control_plane.platform.auth import authorization
from control_plane.platform.problems import Problem
from control_plane.platform.settings import SETTINGS, Settings
from dashboards.simulation.demonstration.orders import NOTHING, ORDERS, OrderBook

bp = Blueprint("demonstration", __name__, url_prefix="/demonstration")


@bp.post("/order")
@authorization.require_role("operator")
def order() -> ResponseReturnValue:
    """Put a fault into the traffic, or take it out."""
    name = request.form.get("order", "")
    if name not in ORDERS:
        raise Problem(400, "UNKNOWN_ORDER", "There is no such fault; choose one of the list.")
    _book().write(name)
    return redirect("/", 303)


@bp.app_context_processor
def panel() -> dict[str, object]:
    """Give every page what stands above it."""
    in_force = _book().read()
    return {"demonstration": {"orders": ORDERS, "in_force": in_force, "order": ORDERS[in_force], "nothing": NOTHING}}


def application() -> Flask:
    """Make the application of one worker, as the product does, with the form."""
    app = server.application()
    app.register_blueprint(bp)
    return app


def _book() -> OrderBook:
    return OrderBook(Path(SETTINGS.get().instance_dir))


if __name__ == "__main__":
    server.serve(Settings.from_env(), application="dashboards.simulation.demonstration.server:application")
    sys.exit(0)
