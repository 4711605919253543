"""Request ids, access log lines, metrics, and the guard's signals of health."""

import os
import re
from collections.abc import Callable, Iterable
from functools import cache
from time import perf_counter

import structlog
from flask import Flask, Response, current_app, g, has_request_context, request
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Engine, event
from sqlalchemy.engine import Connection, ExceptionContext
from sqlalchemy.exc import OperationalError

from control_plane.platform import settings
from control_plane.platform.current_request import Environ, environ
from control_plane.platform.db import errors, fastpath, pool
from control_plane.platform.db.database import BEGIN_ERROR_HOOK, db
from control_plane.platform.extensions import AppState
from control_plane.platform.observability import logs, prometheus_multiprocess, request_outcomes, tracing
from control_plane.platform.observability.signals import Sample, bound_seconds
from control_plane.platform.problems import PROBLEM_CODE

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
CONVERTER = re.compile(r"<[^<>]*:(?=\w+>)")
STARTED = "rollout.started"
ACTOR = "rollout.actor"
"""Where in the WSGI environment the name of who acts is left for the access log."""
UNMATCHED = "(unmatched)"
GUARDED_PREFIXES, FLAG_PREFIXES = ("/api/", "/embed/"), ("/api/client", "/api/frontend")
SLOW_STATEMENT_SECONDS = 0.5
SLOW_CHECKOUT_SECONDS = 0.1
# The guide's limits are bounds of their own, so that Prometheus counts exactly what the guard counts.
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)

REQUESTS = Counter("rollout_http_requests", "Requests answered.", ["method", "route", "status"])
SERVER_ERRORS = Counter("rollout_http_server_errors", "Requests answered with 5xx.", ["route"])
LATENCY = Histogram("rollout_http_request_seconds", "Time to the first byte.", ["route"], buckets=SECONDS)
STATEMENTS = Histogram("rollout_database_statement_seconds", "Time of one database statement.", buckets=SECONDS)
SLOW_STATEMENTS = Counter("rollout_database_slow_statements", "Statements slower than their limit, or timed out.")
POOL_WAITS = Histogram("rollout_database_pool_wait_seconds", "Wait of a request for a connection.", buckets=SECONDS)

STATEMENT_GOOD = Sample("database_query_slow", bad=False)
STATEMENT_BAD = Sample("database_query_slow", bad=True)
ANSWERED = Sample("database_error", bad=False)
UNANSWERED = Sample("database_error", bad=True)
LOCK_HAD = Sample("database_lock_failure", bad=False)
LOCK_HELD = Sample("database_lock_failure", bad=True)
WAITED_LITTLE = Sample("database_pool_wait_slow", bad=False)
WAITED_LONG = Sample("database_pool_wait_slow", bad=True)

Collect = Callable[[], Iterable[Metric]]
"""Metrics that are read from the database at each scrape."""

QUIET_ENDPOINTS = AppState[set[str]]("quiet_endpoints", set)
COLLECTORS = AppState[list[Collect]]("collectors", list)
LATENCY_LIMITS = AppState[dict[str, tuple[str, float]]]("latency_limits", dict)
"""By endpoint: the signal to report, and from how many seconds on an answer is slow."""
BAD_STATUSES = AppState[dict[str, tuple[str, frozenset[int]]]]("bad_statuses", dict)
"""By endpoint: the signal to report, and the statuses that are bad."""

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Observe every request and every statement of the application."""
    with app.app_context():
        logs.configure(settings.current().log_format)
        _observe_statements(db.engine)
        _observe_errors(db.engine, app)
    fastpath.HOOKS.set(app, fastpath.StatementHooks(_record_fastpath_success, _record_fastpath_failure))
    _observe_checkouts(app)
    app.before_request(_start)
    app.after_request(_finish)


def exclude_from_access_log(app: Flask, *endpoints: str) -> None:
    """Leave these endpoints out of the access log; they are measured all the same."""
    QUIET_ENDPOINTS.get(app).update(endpoints)


def measure_latency(app: Flask, signal: str, *endpoints: str, slow_after_seconds: float) -> None:
    """Tell the guard which answers of these endpoints were slow; an alert on `signal` may say another bound."""
    LATENCY_LIMITS.get(app).update(dict.fromkeys(endpoints, (signal, slow_after_seconds)))


def measure_statuses(app: Flask, signal: str, *endpoints: str, bad: frozenset[int]) -> None:
    """Tell the guard which answers of these endpoints had one of the statuses in `bad`."""
    BAD_STATUSES.get(app).update(dict.fromkeys(endpoints, (signal, bad)))


def collect_at_scrape(app: Flask, collect: Collect) -> None:
    """Add what `collect` returns to each scrape; its failure costs the scrape nothing else."""
    COLLECTORS.get(app).append(collect)


@cache
def route_label(rule: str) -> str:
    """Return a rule of Werkzeug's as people write it: `/rollouts/<flag>/<verb>`, without the converters."""
    return CONVERTER.sub("<", rule)


def observe(method: str, route: str, status: int, seconds: float) -> None:
    """Measure one answer."""
    answered, latency = _series(method, route, status)
    answered.inc()
    latency.observe(seconds)


@cache
def _series(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """Find a series once: looking for a series by its labels costs more than counting in it."""
    return REQUESTS.labels(method, route, status), LATENCY.labels(route)


def exposition() -> bytes:
    """Return every metric of every process, in Prometheus' text format."""
    _create_series()
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        prometheus_multiprocess.remove_ended_processes()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry.register(REGISTRY)
    registry.register(_AtScrape())
    return generate_latest(registry)


class _AtScrape(Collector):
    def collect(self) -> Iterable[Metric]:
        for collect in COLLECTORS.get():
            try:
                yield from list(collect())
            except Exception as error:
                log.warning("metrics.collector_failed", collector=collect.__qualname__, error=type(error).__name__)


def _create_series() -> None:
    """Make every series of an address at 0."""
    # A counter born at its first error has no increase, so that error would never be seen.
    for rule in current_app.url_map.iter_rules():
        SERVER_ERRORS.labels(route_label(rule.rule))
        LATENCY.labels(route_label(rule.rule))


def _start() -> None:
    found = environ()
    found[STARTED] = perf_counter()
    request_outcomes.begin()
    given = found.get("HTTP_X_REQUEST_ID", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else os.urandom(8).hex()


def _finish(response: Response) -> Response:
    found, rule, status = environ(), request.url_rule, response.status_code
    if STARTED not in found:
        return response
    seconds = perf_counter() - found[STARTED]
    route = route_label(rule.rule) if rule else UNMATCHED
    failed = status >= 500
    nobodys_fault = found.get(PROBLEM_CODE) in request_outcomes.NO_ENGINES_FAULT
    # Whatever a caller invents as a method or a path must not become a series of its own.
    method = found["REQUEST_METHOD"] if found["REQUEST_METHOD"] in tracing.METHODS else "OTHER"
    observe(method, route, status, seconds)
    if failed:
        SERVER_ERRORS.labels(route).inc()
    endpoint = rule.endpoint if rule else ""
    if _is_guarded(route):
        request_outcomes.observe_answer(found.get(PROBLEM_CODE), failed=failed)
    _count_answer(status, endpoint, seconds)
    request_outcomes.end(failed=failed, nobodys_fault=failed and nobodys_fault)
    if endpoint not in QUIET_ENDPOINTS.get():
        _log(found, route, status, seconds)
    response.headers["X-Request-Id"] = g.request_id
    return response


def _count_answer(status: int, endpoint: str, seconds: float) -> None:
    """Tell the guard of an answer what its endpoint is measured by."""
    if limit := LATENCY_LIMITS.get().get(endpoint):
        signal, default = limit
        request_outcomes.observe(Sample(signal, seconds > bound_seconds(signal, default)))
    if bad := BAD_STATUSES.get().get(endpoint):
        signal, statuses = bad
        request_outcomes.observe(Sample(signal, status in statuses))


def _is_guarded(route: str) -> bool:
    """Return whether the guard counts this route: the product's API and card; polling of flags would drown them."""
    return route.startswith(GUARDED_PREFIXES) and not route.startswith(FLAG_PREFIXES)


def _log(found: Environ, route: str, status: int, seconds: float) -> None:
    fields: dict[str, object] = {"method": found["REQUEST_METHOD"], "route": route, "status": status}
    if route == UNMATCHED:
        fields["path"] = request.path[:200]
    if PROBLEM_CODE in found:
        fields["code"] = found[PROBLEM_CODE]
    log.info("http.request", **fields, ms=round(seconds * 1000, 1), actor=found.get(ACTOR, ""))


def _observe_statements(engine: Engine) -> None:
    """Time statements while a request waits: the guard's own statements are no evidence of what users wait for."""
    event.listen(engine, "before_cursor_execute", _statement_starts)
    event.listen(engine, "after_cursor_execute", _statement_ends)
    event.listen(engine, "handle_error", _statement_fails)


def _statement_starts(connection: Connection, *_: object) -> None:
    if has_request_context():
        connection.info["statement_started"] = perf_counter()


def _statement_ends(connection: Connection, _cursor: object, statement: str, *_: object) -> None:
    started = connection.info.pop("statement_started", None)
    if started is not None:
        _statement_took(perf_counter() - started, statement)


def _statement_took(seconds: float, statement: str) -> None:
    slow = seconds > _slow_after()
    tracing.statement(seconds, statement)
    _count_statement(seconds, STATEMENT_BAD if slow else STATEMENT_GOOD, ANSWERED, LOCK_HAD)
    if slow:
        log.warning("database.slow_statement", statement=statement[:300], ms=round(seconds * 1000))


def _statement_fails(context: ExceptionContext) -> None:
    started = context.connection.info.pop("statement_started", None) if context.connection else None
    if started is not None:
        _statement_failed_after(perf_counter() - started)


def _statement_failed_after(seconds: float) -> None:
    # A time-out is the slowest statement of all; an error that came at once says nothing about speed.
    if seconds > _slow_after():
        _count_statement(seconds, STATEMENT_BAD)


def _count_statement(seconds: float, speed: Sample, *others: Sample) -> None:
    STATEMENTS.observe(seconds)
    if speed.bad:
        SLOW_STATEMENTS.inc()
    request_outcomes.observe(speed, *others)


def _slow_after() -> float:
    """Return seconds from which on a statement is slow."""
    return bound_seconds(STATEMENT_GOOD.signal, SLOW_STATEMENT_SECONDS)


def _observe_errors(engine: Engine, app: Flask) -> None:
    """Count what the database refused: the connection, a lock, a deadlock or a time-out.

    What is the statement's own mistake is no such error.
    """
    event.listen(engine, "handle_error", lambda context: _record_database_failure(context.sqlalchemy_exception))
    BEGIN_ERROR_HOOK.set(app, _record_database_failure)


def _record_database_failure(error: Exception | None) -> None:
    if has_request_context() and isinstance(error, OperationalError):
        request_outcomes.observe(UNANSWERED, *([LOCK_HELD] if errors.is_lock_timeout(error.orig) else []))


def _record_fastpath_success(seconds: float, statement: str) -> None:
    if has_request_context():
        _statement_took(seconds, statement)


def _record_fastpath_failure(seconds: float, error: Exception) -> None:
    if has_request_context():
        _statement_failed_after(seconds)
        _record_database_failure(error)


def _observe_checkouts(app: Flask) -> None:
    def observe_wait(seconds: float) -> None:
        POOL_WAITS.observe(seconds)
        slow = seconds > bound_seconds(WAITED_LONG.signal, SLOW_CHECKOUT_SECONDS)
        request_outcomes.observe(WAITED_LONG if slow else WAITED_LITTLE)

    pool.set_checkout_hook(app, observe_wait)
