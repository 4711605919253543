"""Flask without what each request pays for and no application here has."""

from collections.abc import Callable
from typing import Any

from flask import Flask


class Application(Flask):
    """An application whose functions are all synchronous."""

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function; Flask looks whether it is a coroutine, eight times a request."""
        return func
