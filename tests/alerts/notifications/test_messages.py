"""What notices say: a rollout of one environment is named in words, as pages name it."""

from datetime import UTC, datetime, timedelta

import pytest

from alerts.notifications import messages
from alerts.notifications.messages import Message

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
STAGING = "SEARCH@staging"


@pytest.mark.parametrize(
    "message",
    [
        messages.override_message(STAGING, "slow", actor="alice", reason="A test.", expires_at=NOW, now=NOW),
        messages.override_request_message(STAGING, "slow", actor="alice", reason="A test.", until=NOW, now=NOW),
        messages.no_data_message(STAGING, 1, "slow", since=NOW - timedelta(hours=1)),
    ],
    ids=lambda message: str(message.kind),
)
def test_a_rollout_of_one_environment_is_named_in_words(message: Message) -> None:
    assert "SEARCH in staging" in message.body
    assert STAGING not in message.body
    assert message.flag == STAGING
