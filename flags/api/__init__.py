"""Our own JSON about flags: why a user has one, who is treated by name, what is defined, who is connected."""

from flask import Flask
from flask.typing import ResponseReturnValue

from control_plane.platform.auth import authorization
from control_plane.platform.problems import Problem, respond
from flags.api import (
    connections,
    definitions,
    edits,
    explanations,
    overrides,
    segments,
    stale,
    tokens,
    users,
    versions,
)
from flags.snapshot import UnknownFlagError


def init_app(app: Flask) -> None:
    """Mount the routes."""
    for routes in (explanations, overrides, definitions, edits, segments, users, tokens, connections, stale, versions):
        app.register_blueprint(routes.bp)
    authorization.larger_bodies(app)["/api/environments/"] = definitions.IMPORT_BYTES_MAX
    app.register_error_handler(UnknownFlagError, _unknown)


def _unknown(error: UnknownFlagError) -> ResponseReturnValue:
    return respond(Problem(404, "FLAG_NOT_FOUND", str(error)))
