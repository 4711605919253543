"""Flags of a Flask application: `flags.client.flask.init_app(app)`; needs flask."""

from typing import Any

from flask import Flask

from control_plane.platform.extensions import AppState
from flags.client.connection import Flags, connect

FLAGS = AppState[Flags]("rollout_flags")


def init_app(app: Flask, url: str = "", token: str = "", **options: Any) -> Flags:
    """Return the flags of the application, also at `app.extensions["rollout_flags"]`; `options` are those of `connect`.

    Address and token may stand in the application's configuration as FLAGS_URL and FLAGS_TOKEN (and
    FLAGS_RESULTS_TOKEN for comparisons).
    """
    options = {"results_token": app.config.get("FLAGS_RESULTS_TOKEN", "")} | options
    made = connect(url or app.config["FLAGS_URL"], token or app.config["FLAGS_TOKEN"], **options)
    FLAGS.set(app, made)
    return made
