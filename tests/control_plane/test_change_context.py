"""Reasons of changes: trimmed, and refused where nobody could read anything in them."""

from datetime import UTC, datetime

import pytest

from control_plane.change_context import ChangeContext, trimmed
from control_plane.platform.problems import Problem, require_reason

INVISIBLE = ["", " \t\n", "\u200b", "\u2800", "\u3164 \u00a0", "\u2060\ufeff", "\x07", "\u202e\u0301"]


@pytest.mark.parametrize("reason", INVISIBLE)
def test_a_reason_that_shows_nothing_is_no_reason(reason: str) -> None:
    assert ChangeContext(datetime.now(UTC), "olga", reason).reason == ""
    with pytest.raises(Problem, match="Say why"):
        require_reason(reason)


@pytest.mark.parametrize("reason", ["ok", "👍", "?", "שלום", "é", "1", "👨‍👩‍👧"])
def test_a_short_reason_in_any_script_counts(reason: str) -> None:
    require_reason(reason)
    assert trimmed(f" {reason}\n") == reason
