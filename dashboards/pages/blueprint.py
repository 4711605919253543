"""The one blueprint of all screens, and what every template may ask for."""

import re
import shlex
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Response, request
from markupsafe import Markup, escape
from sqlalchemy.exc import SQLAlchemyError

from alerts.overrides.store import Override
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.platform.identity_types import Person, Role
from dashboards import assets, offers, wording
from dashboards.charts import Chart
from dashboards.regions import mark
from dashboards.screens import alerts
from dashboards.status import look

COMMAND = re.compile(r"`([^`]+)`")
LARGEST_ID = 2**63 - 1
THEME_COOKIE = "theme"
THEMES = ("light", "dark")

bp = Blueprint("pages", __name__, template_folder="../templates")

SCREENS = (
    ("pages.rollouts", "Rollouts"),
    ("pages.explain", "Explain"),
    ("pages.users", "Users"),
    ("pages.alerts", "Alerts"),
    ("pages.credits", "Credits"),
    ("pages.audit_trail", "Audit"),
    ("pages.people", "People"),
    ("pages.system", "System"),
)
FOR_OWNERS = ("pages.credits", "pages.people")
BELONGS_TO = {
    "pages.rollouts": ("pages.rollouts", "pages.rollout", "pages.action", "pages.aftermath"),
    "pages.alerts": ("pages.alerts", "pages.alert"),
}


def init_app(app: Flask) -> None:
    """Mount the screens and give the templates their words."""
    app.register_blueprint(bp)
    app.jinja_env.filters.update(
        ago=wording.ago,
        clock=wording.clock,
        count=wording.count,
        day=wording.day,
        evidence=lambda value, name: wording.figure(name, value),
        look=look,
        mark=mark,
        marked=marked,
        minute=wording.minute,
        moment=wording.moment,
        percentage=wording.percentage,
        plain=wording.plain,
        readable=wording.readable,
        rows=rows,
        several=wording.several,
        share=wording.share,
        shell=shlex.quote,
        span=wording.span,
    )


@bp.app_context_processor
def words() -> dict[str, Any]:
    """Who looks, in which colours, and where the screens are."""
    return {
        "me": me(),
        "may": may,
        "theme": theme(),
        "screens": [each for each in SCREENS if each[0] not in FOR_OWNERS or may("owner")],
        "here": lambda endpoint: BELONGS_TO.get(endpoint, (endpoint,)),
        "static_url": assets.static_url,
        "overruled": overruled,
        "offered": lambda screen: offers.offers(screen.rollout),
        "rearming": lambda screen: offers.offer(screen.rollout, "rearm"),
    }


@bp.get("/static/<path:name>")
def asset(name: str) -> Response:
    """A static file."""
    return assets.asset(name)


def me() -> Person | None:
    """Who looks. While the database is away nobody is known, and the page that says so must still come."""
    try:
        return authorization.person()
    except SQLAlchemyError:
        return None


def overruled() -> tuple[Override, ...]:
    """The alerts that may only notify now, whatever page one looks at; none for those who are not signed in."""
    if me() is None:
        return ()
    with read_only() as session:
        return alerts.overruled(session, now=datetime.now(UTC))


def theme() -> str:
    """The colours this browser chose: light, dark, or empty for what the system says."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def may(role: str) -> bool:
    """Whether the person signed in has at least this role."""
    person = me()
    return person is not None and person.role.includes(Role(role))


def row_id(text: str) -> int:
    """An id in an address, as a database can compare with it; raises ValueError for what is none."""
    return min(int(text), LARGEST_ID)


def marked(text: str) -> Markup:
    """`text` with what stands between backticks set as code."""
    return Markup(COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def rows(chart: Chart, step: int = 5) -> list[tuple[float, list[float | None]]]:
    """A chart's figures as a table, every `step` minutes."""
    values = [{dot.at: dot.value for dot in line.dots} for line in chart.lines]
    moments = sorted(set().union(*values))
    return [(at, [line.get(at) for line in values]) for at in moments if at % step == 0]
