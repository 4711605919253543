"""The sentence about what an incident cost, from whoever registered to know."""

from datetime import datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from alerts.incident_costs import LONGEST, cost_sentence
from control_plane.experiments.credits import FLAG
from control_plane.rollouts.blast_radius import Compensation, register_compensation_query
from tests.alerts.conftest import StoredRollout

pytestmark = pytest.mark.database("sqlite")


@pytest.mark.parametrize(
    ("due", "sentence"),
    [
        (Compensation(26, 87), "26 users are owed 87 credits so far."),
        (Compensation(1, 1), "1 user is owed 1 credit so far."),
        (Compensation(), ""),
    ],
)
def test_who_is_to_be_given_back_what(
    app: Flask, stored_rollout: StoredRollout, now: datetime, due: Compensation, sentence: str
) -> None:
    asked: list[datetime] = []

    def query(_session: Session, since: datetime) -> Compensation:
        asked.append(since)
        return due

    with app.app_context():
        register_compensation_query(FLAG, query)
        assert cost_sentence(stored_rollout.rollout, now) == sentence
        assert cost_sentence(stored_rollout.rollout, now + timedelta(days=9)) == sentence
    assert asked == [stored_rollout.rollout.entered_at, now + timedelta(days=9) - LONGEST]


def test_that_it_cannot_be_read_keeps_nobody_from_rolling_back(
    app: Flask, stored_rollout: StoredRollout, now: datetime
) -> None:
    def query(_session: Session, _since: datetime) -> Compensation:
        raise OperationalError("SELECT", {}, Exception("too slow"))

    with app.app_context():
        register_compensation_query(FLAG, query)
        assert cost_sentence(stored_rollout.rollout, now) == ""
