"""Unleash's client API, as its SDKs and its own tests expect it."""

import gzip
from collections.abc import Callable

import brotli
import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import db
from flags.protocols import raw_response
from flags.store import UserAttributes
from tests.installation import Installation

Call = Callable[..., TestResponse]
NEW = {"Unleash-Client-Spec": "6.1.0"}
PATH = "/api/client/features"


def test_a_flag_is_sent_whole_and_off_before_its_first_phase(call: Call) -> None:
    answer = call("GET", PATH, kind="client", headers=NEW)
    [feature] = answer.get_json()["features"]
    assert (answer.status_code, feature["name"], feature["enabled"]) == (200, FLAG, False)
    assert feature["strategies"], "an empty list means on for everybody"
    assert answer.get_json()["query"] == {
        "project": ["default"],
        "environment": "production",
        "inlineSegmentConstraints": False,
    }
    assert answer.get_json()["meta"]["etag"] == answer.headers["ETag"]


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}'])
def test_nothing_is_sent_again_to_who_has_it(call: Call, form: str) -> None:
    first = call("GET", PATH, kind="client", headers=NEW)
    again = call("GET", PATH, kind="client", headers=NEW | {"If-None-Match": form.format(first.headers["ETag"])})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", first.headers["ETag"])


def test_who_takes_gzip_gets_the_same_in_a_fraction_and_not_twice(
    call: Call, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_response, "BYTES_MIN", 1)
    plain = call("GET", PATH, kind="client", headers=NEW)
    assert plain.headers["Vary"] == "Accept-Encoding"
    packed = call("GET", PATH, kind="client", headers=NEW | {"Accept-Encoding": "gzip, deflate"})
    assert (packed.status_code, packed.headers["Content-Encoding"]) == (200, "gzip")
    assert gzip.decompress(packed.data) == plain.data
    assert int(packed.headers["Content-Length"]) == len(packed.data) < len(plain.data)
    known = NEW | {"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]}
    assert call("GET", PATH, kind="client", headers=known).status_code == 304
    installation.move(3)
    assert call("GET", PATH, kind="client", headers=known).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [("gzip, deflate, br", "br"), ("br", "br"), ("gzip;q=0.9, br;q=0.5", "gzip"), ("br;q=0, *", "gzip"), ("*", "br")],
)
def test_of_what_a_caller_likes_alike_the_smaller_is_sent(
    accepted: str, encoding: str, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_response, "BYTES_MIN", 1)
    plain = call("GET", PATH, kind="client", headers=NEW)
    packed = call("GET", PATH, kind="client", headers=NEW | {"Accept-Encoding": accepted})
    unpack = {"br": brotli.decompress, "gzip": gzip.decompress}[encoding]
    assert (packed.headers["Content-Encoding"], unpack(packed.data)) == (encoding, plain.data)
    assert packed.headers["ETag"] == f"W/{plain.headers['ETag']}"


@pytest.mark.parametrize("encoding", ["identity", "gzip;q=0", "br", ""])
def test_who_takes_no_gzip_gets_none(call: Call, encoding: str) -> None:
    answer = call("GET", PATH, kind="client", headers=NEW | {"Accept-Encoding": encoding})
    assert "Content-Encoding" not in answer.headers
    assert answer.get_json()["version"] == 2


def test_a_change_changes_the_entity_tag(call: Call, installation: Installation) -> None:
    before = call("GET", PATH, kind="client", headers=NEW)
    installation.move(3)
    after = call("GET", PATH, kind="client", headers=NEW | {"If-None-Match": before.headers["ETag"]})
    assert after.status_code == 200
    assert after.get_json()["features"][0]["enabled"] is True
    assert after.get_json()["meta"]["revisionId"] > before.get_json()["meta"]["revisionId"]


def test_a_change_that_concerns_no_sdk_leaves_the_entity_tag_alone(call: Call, installation: Installation) -> None:
    before = call("GET", PATH, kind="client", headers=NEW)
    installation.users(UserAttributes("carl", "pro"))
    assert call("GET", PATH, kind="client", headers=NEW | {"If-None-Match": before.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize("version", [{}, {"Unleash-Client-Spec": ""}, {"Unleash-Client-Spec": "4.1.9"}])
def test_segments_are_written_into_the_strategies_for_old_sdks(
    call: Call, installation: Installation, version: dict[str, str]
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    installation.move(1)
    old, new = call("GET", PATH, kind="client", headers=version), call("GET", PATH, kind="client", headers=NEW)
    assert "segments" not in old.get_json()
    assert old.get_json()["query"]["inlineSegmentConstraints"] is True
    assert old.headers["ETag"] != new.headers["ETag"]
    [strategy] = old.get_json()["features"][0]["strategies"]
    [segment] = new.get_json()["segments"]
    assert strategy["constraints"] == segment["constraints"]
    assert segment["constraints"][0]["values"] == ["beta-user"]


def test_a_version_that_is_none_is_refused_by_name(call: Call) -> None:
    answer = call("GET", PATH, kind="client", headers={"Unleash-Client-Spec": "latest"})
    assert (answer.status_code, answer.get_json()["name"]) == (400, "BadDataError")
    assert answer.get_json()["details"][0]["path"] == "Unleash-Client-Spec"


def test_only_flags_with_the_prefix_are_sent(call: Call) -> None:
    assert call("GET", f"{PATH}?namePrefix=ENABLE_", kind="client", headers=NEW).get_json()["features"]
    other = call("GET", f"{PATH}?namePrefix=other", kind="client", headers=NEW)
    assert other.get_json()["features"] == []
    assert other.get_json()["query"]["namePrefix"] == "other"


def test_the_environment_is_the_tokens(call: Call, installation: Installation, app: Flask) -> None:
    installation.move(0)
    installation.publish()
    token = installation.token("client", environment="staging")
    answer = app.test_client().get(f"{PATH}?environment=production", headers={"Authorization": f"Bearer {token}"})
    assert answer.get_json()["query"]["environment"] == "staging"
    assert answer.get_json()["features"][0]["enabled"] is True


def test_one_flag_can_be_had_alone(call: Call) -> None:
    assert call("GET", f"{PATH}/{FLAG}", kind="client").get_json()["name"] == FLAG
    missing = call("GET", f"{PATH}/NOT_THERE", kind="client")
    assert (missing.status_code, missing.get_json()["name"]) == (404, "NotFoundError")


def test_without_a_token_or_with_another_kind_it_refuses_in_unleashs_words(call: Call) -> None:
    nobody, browser, admin = (call("GET", PATH, kind=kind) for kind in ("", "frontend", "admin"))
    assert (nobody.status_code, browser.status_code, admin.status_code) == (401, 403, 403)
    assert "requires an API token" in nobody.get_json()["message"]
    assert browser.get_json()["message"] == "invalid token: expected a different token type for this endpoint"


def test_an_sdk_may_introduce_itself(call: Call) -> None:
    body = {"appName": "shop", "instanceId": "i", "started": "whenever", "interval": "undefined", "new": {"field": 1}}
    answer = call("POST", "/api/client/register", kind="client", json=body)
    assert (answer.status_code, answer.data) == (202, b"")
    nameless = call("POST", "/api/client/register", kind="client", json={"instanceId": "i"})
    assert (nameless.status_code, nameless.get_json()["details"][0]["path"]) == (400, "appName")


@pytest.mark.parametrize(
    "bucket",
    [
        None,
        {"start": "2026-08-01T00:00:00Z", "stop": 1785542400000, "toggles": {FLAG: {"yes": 1, "no": 0}}},
        {"toggles": {FLAG: {"yes": 1, "no": 2, "variants": {"blue": 1}}, "unknown": {}}},
    ],
)
def test_metrics_of_any_shape_sdks_send_are_taken(call: Call, bucket: object) -> None:
    body = {"appName": "shop", "bucket": bucket, "impactMetrics": []}
    assert call("POST", "/api/client/metrics", kind="client", json=body).status_code == 202


def test_metrics_that_count_backwards_are_refused(call: Call) -> None:
    body = {"appName": "shop", "bucket": {"toggles": {FLAG: {"yes": -1}}}}
    assert call("POST", "/api/client/metrics", kind="client", json=body).status_code == 400


def test_a_relay_may_report_for_many(call: Call) -> None:
    row = {"featureName": FLAG, "appName": "shop", "environment": "production", "timestamp": "now", "yes": 3}
    body = {"applications": [{"appName": "shop"}], "metrics": [row]}
    assert call("POST", "/api/client/metrics/bulk", kind="client", json=body).status_code == 202
    assert call("POST", "/api/client/metrics/edge", kind="client", json={"anything": []}).status_code == 202


def test_a_request_touches_no_database(call: Call, installation: Installation, app: Flask) -> None:
    call("GET", PATH, kind="client")
    token = installation.token("client")
    app.test_client().get(PATH, headers={"Authorization": token})
    with app.app_context():
        db.engine.dispose()
        with db.engine.connect() as connection:
            connection.execute(text("ALTER TABLE rollout RENAME TO away"))
            connection.commit()
    assert app.test_client().get(PATH, headers={"Authorization": token}).status_code == 200
