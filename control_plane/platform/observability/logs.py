"""Structured logs on standard error: JSON for machines, columns for people, one line per event, no secrets."""

import json
import logging
import sys
from collections.abc import Mapping, MutableMapping
from functools import lru_cache

import structlog
from flask import g, has_request_context
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

from control_plane.platform.observability import tracing

SECRET_KEYS = ("password", "secret", "authorization", "cookie", "api_key")
# One list for the life of the process, changed in place: loggers keep hold of it, which makes them cheap.
PROCESSORS: list[Processor] = []
ENCODER = json.JSONEncoder(default=str)
QUIET_LIBRARIES = ("alembic", "apscheduler", "werkzeug", "UnleashClient")
SCHEDULER = "apscheduler.scheduler"
"""On a busy machine it warns of each run that coincides with the one before, which is what `coalesce` is for."""


class StderrStream:
    """Writes each line to the standard error of the moment, in one piece."""

    def msg(self, line: str) -> None:
        """Write one line."""
        sys.stderr.write(line + "\n")

    debug = info = warning = warn = error = critical = exception = fatal = log = msg


def configure(log_format: str) -> None:
    """Send the program's events and its libraries' messages through one pipeline; `log_format` is json or console."""
    shared: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_request_id,
        hide_secrets,
    ]
    render = _renderers(log_format)
    PROCESSORS[:] = [*shared, *render]
    structlog.configure(
        processors=PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: StderrStream(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(foreign_pre_chain=shared, processors=[ProcessorFormatter.remove_processors_meta, *render])
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(SCHEDULER).setLevel(logging.ERROR)


def add_request_id(_logger: object, _method: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """Tie an event to the request that caused it, and to its trace."""
    if has_request_context() and (request_id := g.get("request_id")):
        event.setdefault("request_id", request_id)
        if trace_id := tracing.trace_id():
            event.setdefault("trace_id", trace_id)
    return event


def hide_secrets(_logger: object, _method: str, event: MutableMapping[str, object]) -> Mapping[str, object]:
    """Blank every field whose name speaks of a secret, should one be logged by mistake."""
    for name in event:
        if _is_secret(name):
            event[name] = "(hidden)"
    return event


def as_json(_logger: object, _method: str, event: MutableMapping[str, object]) -> str:
    """Return one line; what JSON doesn't know is written as text."""
    return ENCODER.encode(event)


def _renderers(log_format: str) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.format_exc_info, as_json]
    # The plain formatter: the rich one prints local variables, passwords among them.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]


@lru_cache(maxsize=1024)
def _is_secret(name: str) -> bool:
    return any(word in name.lower() for word in SECRET_KEYS)
