"""Severity decides within what alerts.yaml allows, and what is not ours decides nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alerts.analysis.rules import Action
from alerts.definitions import parser
from alerts.inbound.decision import AlertContext, Response, reply
from alerts.inbound.payload import Alert
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import LOWEST, Rollout, RolloutState
from control_plane.experiments.credits import FLAG
from tests.alerts.inbound.notifications import alert

NOW = datetime(2026, 3, 2, tzinfo=UTC)
(RULE,) = parser.parse("alerts:\n  api_error_rate:\n    threshold: 0.5%\n    window: 1m\n    severity: critical\n")
ROLLOUT = Rollout(FLAG, default_plan(NOW), 1, 1, RolloutState.RUNNING, LOWEST, NOW, NOW, "")
STANDING = AlertContext(ROLLOUT, NOW - timedelta(days=1), RULE)


def firing(**changes: Any) -> Alert:
    return Alert.model_validate(alert(NOW, **changes))


@pytest.mark.parametrize(
    ("severity", "limit", "expected"),
    [
        ("critical", Action.ROLLBACK, Response.ROLLBACK),
        ("critical", Action.HOLD, Response.HOLD),
        ("critical", Action.NOTIFY, Response.NOTED),
        ("warning", Action.ROLLBACK, Response.HOLD),
        ("warning", Action.NOTIFY, Response.NOTED),
        ("info", Action.ROLLBACK, Response.NOTED),
        ("page", Action.ROLLBACK, Response.NOTED),
        (None, Action.ROLLBACK, Response.ROLLBACK),
    ],
)
def test_severity_decides_within_what_the_rule_allows(severity: str | None, limit: Action, expected: Response) -> None:
    standing = replace(STANDING, rule=replace(RULE, action=limit))
    assert reply(firing(labels={"severity": severity}), standing).response is expected


def test_a_name_on_the_list_acts_without_a_rule() -> None:
    stranger = firing(name="DiskFull")
    standing = replace(STANDING, rule=None)
    assert reply(stranger, standing).response is Response.UNKNOWN
    assert reply(stranger, standing, also_known=["DiskFull"]).response is Response.ROLLBACK


def test_an_overridden_alert_is_noted() -> None:
    assert reply(firing(), replace(STANDING, overridden=True)).response is Response.NOTED


def test_the_label_rule_names_the_alert_where_the_exported_one_has_another_name() -> None:
    exported = firing(name="credits_evidence", labels={"rule": "api_error_rate"})
    assert exported.name == "api_error_rate"


def test_an_alert_at_the_very_instant_of_the_beginning_counts() -> None:
    began = firing(startsAt=NOW.isoformat())
    assert reply(began, replace(STANDING, attempt_began=NOW)).response is Response.ROLLBACK
    assert reply(began, replace(STANDING, attempt_began=NOW + timedelta(microseconds=1))).response is Response.NOTED


def test_a_firing_is_told_from_the_next_by_fingerprint_and_start() -> None:
    first = firing()
    assert firing().key == first.key
    assert firing(startsAt=NOW.isoformat()).key != first.key
    assert firing(fingerprint="").key == firing(fingerprint="").key
    assert firing(fingerprint="").key != firing(fingerprint="", labels={"pod": "a"}).key
