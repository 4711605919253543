"""Which tokens a process can check without asking the database."""

from flask import Flask

from control_plane.platform import clock
from control_plane.platform.auth import tokens
from tests.installation import Installation


def test_a_token_is_remembered_from_its_first_use_on_and_no_other(app: Flask) -> None:
    text = Installation(app).token("client")
    made_up = text[:-1] + ("a" if text[-1] != "a" else "b")
    assert not tokens.is_remembered(app, text)
    assert not tokens.is_remembered(app, "no token")
    with app.app_context():
        tokens.check_token(text, clock.now())
    assert tokens.is_remembered(app, text)
    assert tokens.is_remembered(app, made_up)  # the same public part: this process alone can refuse it
