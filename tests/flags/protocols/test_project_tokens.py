"""A token that is held to projects: what every protocol shows to whoever holds it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from werkzeug.test import TestResponse

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from flags.administration.imports import ImportOptions, import_definitions
from flags.protocols import sse
from flags.unleash.delta import FeatureState
from tests.installation import Installation

Call = Callable[..., TestResponse]
Ask = Callable[..., TestResponse]
SPEC = {"Unleash-Client-Spec": "5.2.0"}


def feature(name: str, project: str = "shop", **fields: Any) -> dict[str, Any]:
    return {"name": name, "project": project, "enabled": True, "strategies": [{"name": "default"}], **fields}


def take(installation: Installation, *features: dict[str, Any], **document: Any) -> None:
    """Import these beside what is there."""
    with installation.app.app_context(), transaction() as session:
        change = ChangeContext(datetime.now(UTC), "test", "For a test.")
        document = {"features": features, **document}
        assert not import_definitions(session, "production", document, change, ImportOptions()).refusals
    installation.publish()


@pytest.fixture
def ask(call: Call, installation: Installation) -> Ask:
    """Ask as an SDK or a browser of the project `shop`, beside which there are others."""
    segments: list[dict[str, Any]] = [{"id": number, "name": f"s{number}", "constraints": []} for number in (1, 2)]
    in_segment = [{"name": "default", "segments": [1]}]
    take(installation, feature("cart", strategies=in_segment), feature("login", "web"), segments=segments)
    tokens = {kind: installation.token(kind, projects=["shop"]) for kind in ("client", "frontend")}

    def ask(method: str, path: str, kind: str = "client", **options: Any) -> TestResponse:
        headers = {"Authorization": tokens[kind], **SPEC, **options.pop("headers", {})}
        return call(method, path, headers=headers, **options)

    return ask


def names(answer: TestResponse) -> list[str]:
    return [each["name"] for each in answer.get_json()["features"]]


def test_it_shows_an_sdk_its_own_flags_and_the_segments_that_they_name(ask: Ask, call: Call) -> None:
    answer = ask("GET", "/api/client/features")
    assert names(answer) == ["cart"]
    assert [each["id"] for each in answer.get_json()["segments"]] == [1]
    assert answer.get_json()["query"]["project"] == ["shop"]
    assert names(call("GET", "/api/client/features", kind="client", headers=SPEC)) == [FLAG, "cart", "login"]


def test_a_flag_of_another_project_is_not_there(ask: Ask) -> None:
    assert ask("GET", "/api/client/features/cart").status_code == 200
    assert ask("GET", "/api/client/features/login").status_code == 404
    assert ask("POST", "/ofrep/v1/evaluate/flags/login").get_json()["errorCode"] == "FLAG_NOT_FOUND"
    assert ask("POST", f"/ofrep/v1/evaluate/flags/{FLAG}").get_json()["errorCode"] == "FLAG_NOT_FOUND"


def test_it_outweighs_the_projects_that_its_caller_names(ask: Ask) -> None:
    assert names(ask("GET", "/api/client/features?project=web")) == ["cart"]
    assert names(ask("GET", "/api/client/features?namePrefix=x")) == []


def test_it_shows_browsers_and_openfeature_its_own_flags(ask: Ask) -> None:
    toggles = ask("GET", "/api/frontend?userId=7", "frontend").get_json()["toggles"]
    assert [each["name"] for each in toggles] == ["cart"]
    flags = ask("POST", "/ofrep/v1/evaluate/flags").get_json()["flags"]
    assert [each["key"] for each in flags] == ["cart"]


def test_what_a_flag_depends_on_comes_with_it(ask: Ask, installation: Installation) -> None:
    take(installation, feature("checkout", dependencies=[{"feature": "login"}]))
    assert names(ask("GET", "/api/client/features")) == ["cart", "checkout", "login"]


def test_who_follows_by_deltas_learns_of_its_own_changes_alone(ask: Ask, installation: Installation) -> None:
    state = FeatureState()
    first = ask("GET", "/api/client/delta")
    state.apply(first.get_json()["events"])
    take(installation, feature("login", "web", stale=True))
    known = {"If-None-Match": first.headers["ETag"]}
    assert ask("GET", "/api/client/delta", headers=known).status_code == 304
    take(installation, feature("wishlist"), feature("cart", "web"))
    events = ask("GET", "/api/client/delta", headers=known).get_json()["events"]
    assert [each["type"] for each in events] == ["feature-updated", "feature-removed", "segment-removed"]
    state.apply(events)
    features: Any = state.to_json()["features"]
    assert [each["name"] for each in features] == ["wishlist"]


def test_its_streams_send_its_own_changes_alone(ask: Ask, installation: Installation) -> None:
    stream = ask("GET", "/api/client/streaming")
    frames = stream.iter_encoded()
    opening = [next(frames), next(frames)][1].decode()
    assert '"cart"' in opening
    assert '"login"' not in opening
    take(installation, feature("login", "web", stale=True))
    take(installation, feature("wishlist"))
    update = next(filter(None, frames)).decode()
    events = json.loads(update.partition("data: ")[2])["events"]
    assert [each["feature"]["name"] for each in events] == ["wishlist"]
    stream.close()


def test_browsers_are_told_to_ask_again_after_its_own_changes_alone(
    ask: Ask, installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_SECONDS", 0.01)
    document = ask("POST", "/ofrep/v1/evaluate/flags", "frontend").get_json()
    stream = ask("GET", document["eventStreams"][0]["endpoint"]["requestUri"])
    frames = stream.iter_encoded()
    assert next(frames) == b"retry: 2000\n\n"
    take(installation, feature("login", "web", stale=True))
    assert next(frames) == sse.COMMENT
    take(installation, feature("wishlist"))
    assert b"refetchEvaluation" in next(frames)
    stream.close()


def test_a_relay_is_told_of_its_projects(ask: Ask, call: Call, installation: Installation) -> None:
    texts = [installation.token("client", projects=projects) for projects in (["shop"], ["shop", "web"], [], ["*"])]
    assert [text.partition(":")[0] for text in texts] == ["shop", "[]", "*", "*"]
    found = call("POST", "/edge/validate", json={"tokens": texts}).get_json()["tokens"]
    assert [each["projects"] for each in found] == [["shop"], ["shop", "web"], ["*"], ["*"]]
