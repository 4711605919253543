"""The one blueprint of all screens, and what every template may ask for."""

import re
import shlex

from flask import Blueprint, Flask, Response, request
from markupsafe import Markup, escape
from sqlalchemy.exc import SQLAlchemyError

from alerts.overrides.store import Override
from control_plane.platform import clock
from control_plane.platform.auth import authorization
from control_plane.platform.auth.page_addresses import referring_page
from control_plane.platform.db.database import read_only
from control_plane.platform.identity_types import Person, Role
from control_plane.platform.problems import Problem
from control_plane.platform.settings import current
from control_plane.rollouts.environment_variable import variable_notice
from control_plane.strict_json import is_storable
from dashboards import actions, assets, filters, language, time_zone
from dashboards.badges import badge_style
from dashboards.browser_names import browser_name
from dashboards.chart_windows import window_labels
from dashboards.charts import Chart
from dashboards.delivered_texts import delivered
from dashboards.fragments import etag
from dashboards.gate_sentences import gate_figure, gate_sentence
from dashboards.glossary import meaning
from dashboards.language import LANGUAGES, N_, SOURCE, gettext
from dashboards.problem_sentences import problem_sentence, problem_title, reason_sentence
from dashboards.stored_sentences import localized, localized_value
from dashboards.trace_sentences import code_sentence
from dashboards.variance_sentences import cause_sentence
from dashboards.verdict_sentences import attempts, chance, verdict_cause, verdict_reason
from dashboards.view_models import alerts

COMMAND = re.compile(r"`([^`]+)`")
LARGEST_ID = 2**63 - 1
THEME_COOKIE = "theme"
THEMES = ("light", "dark")
FILTERS = (
    *("ago", "clock", "count", "day", "duration", "first_sentence", "iso_day", "joined", "minute", "moment", "moments"),
    *("offset_at", "percentage", "plain", "pluralize", "rollout_title", "sentence_case", "share", "span"),
    *("stored_sentence", "tenths", "utc_day", "utc_moment"),
)
"""What templates call as `dashboards/filters.py` does."""

bp = Blueprint("pages", __name__, template_folder="../templates")

SCREENS = (
    ("pages.rollouts", N_("Rollouts")),
    ("pages.explain", N_("Explain")),
    ("pages.users", N_("Users")),
    ("pages.alerts", N_("Alerts")),
    ("pages.credits", N_("Credits")),
    ("pages.audit_trail", N_("Audit")),
    ("pages.people", N_("People")),
    ("pages.system", N_("System")),
)
NEEDED = {"pages.credits": "owner", "pages.people": "admin"}
BELONGS_TO = {
    "pages.rollouts": (
        *("pages.rollouts", "pages.rollout", "pages.action", "pages.remediation"),
        *("pages.checklists", "pages.plan", "pages.new_rollout"),
        *("pages.flags", "pages.flag", "pages.definition", "pages.stale", "pages.import_form", "pages.import_flags"),
        *("pages.segments", "pages.segment", "pages.segment_form", "pages.new_segment"),
        *("pages.new_segment_in", "pages.create_segment_in"),
    ),
    "pages.credits": (
        *("pages.credits", "pages.usage", "pages.billing", "pages.billing_event"),
        *("pages.variances", "pages.operation", "pages.catalogue"),
        *("pages.edit_catalogue", "pages.change_catalogue"),
        *("pages.members", "pages.put_member", "pages.remove_member", "pages.merge", "pages.merge_users"),
    ),
    "pages.users": ("pages.users", "pages.erasures", "pages.erase_person"),
    "pages.system": ("pages.system", "pages.connections"),
    "pages.alerts": ("pages.alerts", "pages.alert"),
}


def init_app(app: Flask) -> None:
    """Mount the screens and give the templates their words."""
    app.register_blueprint(bp)
    _install_language(app)
    app.jinja_env.globals["page_address"] = page_address  # for macros, which see no context
    app.jinja_env.filters.update({name: getattr(filters, name) for name in FILTERS})
    app.jinja_env.filters.update(
        chart_time=lambda number, chart: (filters.day_and_minute if chart.over_days else filters.minute)(number),
        browser_name=browser_name,
        problem_sentence=problem_sentence,
        problem_title=problem_title,
        reason_sentence=reason_sentence,
        evidence=gate_figure,
        gate_sentence=gate_sentence,
        variant=lambda name: {"on": gettext("on"), "off": gettext("off")}.get(name, name),
        attempts=attempts,
        chance=chance,
        verdict_cause=verdict_cause,
        verdict_reason=verdict_reason,
        badge=badge_style,
        cause=cause_sentence,
        credits=filters.credit_amounts,
        localized=localized,
        localized_value=localized_value,
        mark=etag,
        meaning=meaning,
        code_sentence=code_sentence,
        code_spans=code_spans,
        delivered=delivered,
        rows=rows,
        shell=shlex.quote,
    )


def _install_language(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        language.gettext_of, language.ngettext_of, newstyle=True, pgettext=language.pgettext_of
    )


@bp.teardown_app_request
def reset_language(_error: BaseException | None) -> None:
    """Leave no language and no time zone behind: the thread goes on to work for others."""
    language.set_language(SOURCE)
    time_zone.set_time_zone("UTC")


@bp.before_request
def set_reader_language() -> None:
    """Answer in the language that the reader chose, or that the browser asks for, and by the reader's clock."""
    language.set_language(reader_language())
    time_zone.set_time_zone(time_zone.reader_zone(request.cookies.get(time_zone.COOKIE)))


@bp.before_request
def refuse_unstorable() -> None:
    """Refuse a form with what no database stores, before one that does keeps it for SDKs that can't read it."""
    if not all(is_storable(text) for texts in request.form.listvalues() for text in texts):
        detail = "The form holds a NUL character, which can't be stored; leave it out."
        raise Problem(422, "UNSTORABLE_VALUE", detail)


@bp.after_request
def add_content_language(response: Response) -> Response:
    """Tell caches and readers what language a page is in."""
    if response.mimetype == "text/html":
        response.headers["Content-Language"] = language.language()
        response.vary.update(["Accept-Language", "Cookie"])
    return response


@bp.app_context_processor
def template_globals() -> dict[str, object]:
    """Return the globals of every template: the person, the theme, the navigation."""
    set_reader_language()
    return {
        "me": me(),
        "may": may,
        "places_owned": authorization.places_owned,
        "theme": theme(),
        "screens": screens,
        "language": language.language,
        "languages": LANGUAGES,
        "here": lambda endpoint: BELONGS_TO.get(endpoint, (endpoint,)),
        "static_url": assets.static_url,
        "silenced": silenced_count,
        "form_value": form_value,
        "chart_windows": window_labels(),
        "variable_notice": lambda flag: variable_notice(flag, current()),
        "offered": lambda screen: actions.actions(screen.rollout, screen.names),
        "offered_action": lambda screen, verb: actions.action(
            screen.rollout, verb, screen.names, entering=screen.entering
        ),
    }


@bp.get("/static/<path:name>")
def asset(name: str) -> Response:
    """Return a static file."""
    return assets.asset(name)


def me() -> Person | None:
    """Return the person signed in; None while the database is away, so that the page that says so can be shown."""
    try:
        return authorization.person()
    except SQLAlchemyError:
        return None


def reader_language() -> str:
    """Return the language that a person chose on their account, else what the browser asks for, else English."""
    person = me()
    chosen = person.language if person is not None else None
    if chosen is not None and chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(LANGUAGES) or SOURCE


def form_value(form: str, name: str, default: str = "") -> str:
    """Return what was written into a field of a form that was refused, where the page is shown again for it."""
    posted = request.form if request.method == "POST" and request.form.get("form") == form else {}
    return str(posted.get(name, default))


def page_address() -> str:
    """Return where the page can be had again; for one that answers a refused form, that is where the form stood."""
    if request.method == "GET":
        return request.full_path if request.query_string else request.path
    return referring_page()


def silenced_count() -> tuple[Override, ...]:
    """Return the alerts that may only notify now, whatever page one looks at; none for those who are not signed in."""
    if me() is None:
        return ()
    with read_only() as session:
        return alerts.silenced(session, now=clock.now())


def theme() -> str:
    """Return the colours this browser chose: light, dark, or empty for what the system says."""
    chosen = request.cookies.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def may(role: str, flag: str = "") -> bool:
    """Return whether the person signed in has at least this role on `flag`, or on what the page is about."""
    held = None if me() is None else authorization.role_here(flag)
    return held is not None and held.includes(Role(role))


def screens() -> list[tuple[str, str]]:
    """Return the screens of the navigation that the person signed in may open, with their labels."""
    return [(name, gettext(label)) for name, label in SCREENS if may(NEEDED.get(name, "viewer"))]


def row_id(text: str) -> int:
    """Return an id in an address, as a database can compare with it; raises ValueError for what is none."""
    return min(int(text), LARGEST_ID)


def code_spans(text: str) -> Markup:
    """`text` with what stands between backticks set as code."""
    return Markup(COMMAND.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def rows(chart: Chart) -> list[tuple[float, list[float | None]]]:
    """Return a chart's figures as a table with a row for each point."""
    values = [{dot.at: dot.value for dot in line.dots} for line in chart.lines]
    moments = sorted(set().union(*values))
    return [(at, [line.get(at) for line in values]) for at in moments]
