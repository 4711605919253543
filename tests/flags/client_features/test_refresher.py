"""What a process goes on serving while the database can't be read, and what it stops serving."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db, transaction
from control_plane.platform.runtime import change_feed, leases
from control_plane.platform.settings import Settings
from flags.client_features import refresher as publishing
from flags.client_features.refresher import FeatureCacheRefresher, feature_provider
from tests.applications import application
from tests.installation import Installation

Call = Callable[..., TestResponse]
ASK = f"/ofrep/v1/evaluate/flags/{FLAG}"
NEW = {"Unleash-Client-Spec": "6.1.0"}


@pytest.fixture
def serving(app: Flask, installation: Installation) -> FeatureCacheRefresher:
    """The feature sets of an application whose rollout has reached everybody."""
    installation.move(3, 3)
    installation.publish()
    with app.app_context():
        feature_provider().current("production")
        found = feature_provider()
    assert isinstance(found, FeatureCacheRefresher)
    return found


@pytest.fixture
def unplug(app: Flask) -> Callable[[], None]:
    """Let every new use of the database fail."""

    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("away"))

    def unplug() -> None:
        with app.app_context():
            event.listen(db.engine, "before_cursor_execute", fail)

    return unplug


def enabled(serving: FeatureCacheRefresher) -> bool:
    return bool(serving.current("production").feature_set.contents.features[FLAG].wire["enabled"])


def test_the_last_good_feature_set_stays_in_force(
    serving: FeatureCacheRefresher, app: Flask, installation: Installation, unplug: Callable[[], None]
) -> None:
    before = serving.current("production")
    unplug()
    with app.app_context():
        serving.refresh()
        serving.confirm(datetime.now(UTC))
    assert serving.current("production") is before
    assert enabled(serving)


def test_what_could_not_be_read_is_read_when_it_can_be(
    serving: FeatureCacheRefresher, app: Flask, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken, app.app_context():
        broken.setattr(serving, "_read", _fails)
        installation.roll_back()
        change_feed.feed().refresh()
        assert enabled(serving), "nothing is known of the rollback yet"
    with app.app_context():
        serving.confirm(datetime.now(UTC))
    assert not enabled(serving)


def tag(serving: FeatureCacheRefresher) -> str:
    payloads = serving.cache.get("production")
    assert payloads is not None
    return payloads.feature_set.tag


def test_the_guards_lease_ends_without_the_database(
    app: Flask, installation: Installation, unplug: Callable[[], None], serving: FeatureCacheRefresher
) -> None:
    soon = timedelta(seconds=1)
    with app.app_context():
        with transaction() as session:
            leases.heartbeat(session, now=datetime.now(UTC), term=10**6, ttl_seconds=soon.total_seconds())
        serving.confirm(datetime.now(UTC))
    watched = serving.current("production").feature_set.tag
    assert enabled(serving)
    unplug()
    assert tag(serving) == watched
    give_up = datetime.now(UTC) + 3 * soon
    while enabled(serving) and datetime.now(UTC) < give_up:
        serving.rebuild_due()
    assert not enabled(serving)
    assert tag(serving) != watched, "streams are told, too"


def test_answers_say_that_they_are_stale_and_for_how_long(
    serving: FeatureCacheRefresher, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "STALE_SECONDS", -1.0)
    answer = call("POST", ASK, kind="client", json={"context": {"targetingKey": "7"}})
    assert (answer.get_json()["value"], answer.get_json()["reason"]) == (True, "STALE")
    assert answer.get_json()["metadata"]["reason"] == "STATIC"
    assert answer.get_json()["metadata"]["staleSeconds"] >= 0
    payload = call("GET", "/api/client/features", kind="client", headers=NEW)
    assert int(payload.headers["Rollout-Stale-Seconds"]) >= 0


def test_a_process_that_starts_without_the_database_serves_what_was_kept(
    serving: FeatureCacheRefresher, app: Flask, settings: Settings
) -> None:
    with app.app_context():
        feature_provider().current("staging")
        serving.save_backup()
    away = replace(settings, database_url="postgresql+psycopg://nobody:x@127.0.0.1:1/none", environment_switch=False)
    started = application(away, schema_may_wait=True)
    with started as later, later.app_context():
        production, staging = (feature_provider().current(name).feature_set for name in ("production", "staging"))
        assert feature_provider().stale_seconds > 10
        with pytest.raises(OperationalError):
            feature_provider().current("elsewhere")
    assert production.contents.features[FLAG].wire["enabled"] is False, "nobody watches what was kept"
    assert staging.contents.features[FLAG].wire["enabled"] is False, "this process's own switch says off"
    with application(replace(away, environment_switch=None), schema_may_wait=True) as later, later.app_context():
        assert feature_provider().current("staging").feature_set.contents.features[FLAG].wire["enabled"] is True


def test_only_what_changed_is_read_again(
    serving: FeatureCacheRefresher, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []
    original = serving._read

    def read(*words: Any) -> Any:
        reads.append(words)
        return original(*words)

    monkeypatch.setattr(serving, "_read", read)
    with app.app_context():
        with transaction() as session:
            change_feed.publish(session, "billing", "somebody", now=datetime.now(UTC))
        serving.refresh()
        assert reads == []
        with transaction() as session:
            change_feed.publish(session, "rollout", FLAG, now=datetime.now(UTC))
        serving.refresh()
        assert len(reads) == 1


def _fails(*_: object) -> None:
    raise OperationalError("SELECT", {}, Exception("away"))
