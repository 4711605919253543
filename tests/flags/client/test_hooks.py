"""Hooks of the client: each evaluation is told once, as it was, and no hook can change or break one."""

import logging

import pytest

from flags.client.hooks import FlagEvaluation, notify

EVALUATION = FlagEvaluation("f", True, "on", "ann", "production")


def test_a_hook_that_fails_is_logged_and_the_others_are_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[FlagEvaluation] = []

    def fail(_evaluation: FlagEvaluation) -> None:
        raise RuntimeError("No exporter.")

    with caplog.at_level(logging.ERROR):
        notify([fail, told.append], EVALUATION)
    assert told == [EVALUATION]
    assert "A hook failed on the evaluation of f" in caplog.text
