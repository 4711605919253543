"""JSON as every database and every SDK understands it: UTF-8, finite numbers, no half characters, no NUL."""

from flask import Flask
from flask.json.provider import DefaultJSONProvider

from control_plane.strict_json import MalformedJSON, loads

__all__ = ["MalformedJSON", "StrictJSONProvider", "init_app", "loads"]


class StrictJSONProvider(DefaultJSONProvider):
    """Flask's JSON, refusing on the way in what would fail later as a server error."""

    sort_keys = False

    def loads(self, s: str | bytes, **_kwargs: object) -> object:
        """Return the value of `s`. Raises MalformedJSON."""
        return loads(s)


def init_app(app: Flask) -> None:
    """Read every request body strictly."""
    app.json = StrictJSONProvider(app)
