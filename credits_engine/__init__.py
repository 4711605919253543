"""Credits: two engines that answer every request, one journal, and both books posted together."""

from flask import Flask


def init_app(app: Flask) -> None:
    """Mount the credits on the application."""
