"""The state of an application, such as its settings, its caches and what other packages have registered with it.

Each value has a typed key, which is declared once, in the module that owns the value. Flask keeps the values in
`app.extensions`; no other module goes there.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

from flask import Flask, current_app

T = TypeVar("T")


class MissingStateError(LookupError):
    """A value was read before it was set; the message names it."""


class AppState(Generic[T]):
    """The key of one value of each application. With a `default`, that is made and kept at the first use."""

    __slots__ = ("_default", "_name")

    def __init__(self, name: str, default: Callable[[], T] | None = None) -> None:
        self._name = name
        self._default = default

    def set(self, app: Flask, value: T) -> None:
        """Give `app` this value."""
        app.extensions[self._name] = value

    def get(self, app: Flask | None = None) -> T:
        """Return the value of `app`, or of the running application. Raises MissingStateError."""
        if app is None:
            # Unwrapped at once: an attribute of the proxy costs five times as much, and every flag asked for pays it.
            app = current_app._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 - Flask documents it
        try:
            value: T = app.extensions[self._name]
        except KeyError:
            return self._make_default(app)
        return value

    def _make_default(self, app: Flask) -> T:
        if self._default is None:
            raise MissingStateError(f"This application has no {self._name}; call the init_app of its module first.")
        value: T = app.extensions.setdefault(self._name, self._default())
        return value
