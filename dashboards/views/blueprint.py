"""The one blueprint of all screens, and what every template may ask for."""

import re
import shlex

from flask import Blueprint, Flask, Response, request
from markupsafe import Markup, escape
from sqlalchemy.exc import SQLAlchemyError

from alerts.overrides.store import Override
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.db.database import read_only
from control_plane.platform.identity_types import Person, Role
from control_plane.platform.settings import current
from control_plane.rollouts.environment_variable import variable_notice
from dashboards import actions, assets, filters
from dashboards.badges import badge_style
from dashboards.chart_windows import LABELS
from dashboards.charts import Chart
from dashboards.fragments import etag
from dashboards.variance_sentences import cause_sentence
from dashboards.view_models import alerts

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
NEEDED = {"pages.credits": "owner", "pages.people": "admin"}
BELONGS_TO = {
    "pages.rollouts": (
        *("pages.rollouts", "pages.rollout", "pages.action", "pages.remediation"),
        *("pages.checklists", "pages.plan", "pages.new_rollout"),
        *("pages.flags", "pages.flag", "pages.definition", "pages.stale"),
    ),
    "pages.credits": (
        *("pages.credits", "pages.usage", "pages.billing", "pages.billing_event"),
        *("pages.variances", "pages.operation"),
    ),
    "pages.system": ("pages.system", "pages.connections"),
    "pages.alerts": ("pages.alerts", "pages.alert"),
}


def init_app(app: Flask) -> None:
    """Mount the screens and give the templates their words."""
    app.register_blueprint(bp)
    app.jinja_env.filters.update(
        ago=filters.ago,
        clock=filters.clock,
        count=filters.count,
        day=filters.day,
        chart_time=lambda number, chart: (filters.day_and_minute if chart.over_days else filters.minute)(number),
        evidence=lambda value, name: filters.figure(name, value),
        badge=badge_style,
        cause=cause_sentence,
        mark=etag,
        code_spans=code_spans,
        minute=filters.minute,
        moment=filters.moment,
        percentage=filters.percentage,
        plain=filters.plain,
        moments=filters.moments,
        sentence_case=filters.sentence_case,
        rows=rows,
        pluralize=filters.pluralize,
        share=filters.share,
        shell=shlex.quote,
        span=filters.span,
    )


@bp.app_context_processor
def template_globals() -> dict[str, object]:
    """Return the globals of every template: the person, the theme, the navigation."""
    return {
        "me": me(),
        "may": may,
        "theme": theme(),
        "screens": [each for each in SCREENS if may(NEEDED.get(each[0], "viewer"))],
        "here": lambda endpoint: BELONGS_TO.get(endpoint, (endpoint,)),
        "static_url": assets.static_url,
        "silenced": silenced_count,
        "form_value": form_value,
        "chart_windows": LABELS,
        "variable_notice": lambda flag: variable_notice(flag, current()),
        "offered": lambda screen: actions.actions(screen.rollout, screen.migration),
        "offered_action": lambda screen, verb: actions.action(
            screen.rollout, verb, screen.migration, entering=screen.entering
        ),
    }


@bp.get("/static/<path:name>")
def asset(name: str) -> Response:
    """A static file."""
    return assets.asset(name)


def me() -> Person | None:
    """Return the person signed in; None while the database is away, so that the page that says so can be shown."""
    try:
        return authorization.person()
    except SQLAlchemyError:
        return None


def form_value(form: str, name: str, default: str = "") -> str:
    """Return what was written into a field of a form that was refused, where the page is shown again for it."""
    posted = request.form if request.method == "POST" and request.form.get("form") == form else {}
    return str(posted.get(name, default))


def silenced_count() -> tuple[Override, ...]:
    """The alerts that may only notify now, whatever page one looks at; none for those who are not signed in."""
    if me() is None:
        return ()
    with read_only() as session:
        return alerts.silenced(session, now=clock.now())


def theme() -> str:
    """The colours this browser chose: light, dark, or empty for what the system says."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def may(role: str, flag: str = "") -> bool:
    """Return whether the person signed in has at least this role on `flag`, or on what the page is about."""
    held = None if me() is None else authorization.role_here(flag)
    return held is not None and held.includes(Role(role))


def row_id(text: str) -> int:
    """An id in an address, as a database can compare with it; raises ValueError for what is none."""
    return min(int(text), LARGEST_ID)


def code_spans(text: str) -> Markup:
    """`text` with what stands between backticks set as code."""
    return Markup(COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def rows(chart: Chart) -> list[tuple[float, list[float | None]]]:
    """A chart's figures as a table with a row for each point."""
    values = [{dot.at: dot.value for dot in line.dots} for line in chart.lines]
    moments = sorted(set().union(*values))
    return [(at, [line.get(at) for line in values]) for at in moments]
