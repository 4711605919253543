"""What a relay asks before it stands in front of us."""

from collections.abc import Callable

from flask import Flask
from werkzeug.test import TestResponse

from tests.installation import Installation

Call = Callable[..., TestResponse]
PATH = "/edge/validate"


def test_tokens_of_ours_are_named_and_others_left_out(app: Flask, installation: Installation) -> None:
    client, frontend = installation.token("client"), installation.token("frontend", environment="staging")
    answer = app.test_client().post(PATH, json={"tokens": [client, "*:production.unknown", frontend, ""]})
    common = {"projects": ["*"], "trustedAttributes": []}
    assert answer.json == {
        "tokens": [
            {"token": client, "type": "client", "environment": "production", **common},
            {"token": frontend, "type": "frontend", "environment": "staging", **common},
        ]
    }


def test_without_tokens_it_refuses(app: Flask, installation: Installation) -> None:
    answer = app.test_client().post(PATH, json={})
    assert (answer.status_code, answer.get_json()["details"][0]["path"]) == (400, "tokens")


def test_guessing_is_bounded(app: Flask, installation: Installation) -> None:
    guesses = {"tokens": [f"*:production.v2_{number:022}_{'x' * 43}" for number in range(100)]}
    first, then = (app.test_client().post(PATH, json=guesses) for _ in range(2))
    assert (first.status_code, first.get_json()["tokens"], then.status_code) == (200, [], 429)
