"""docs/migrating.md, followed with what a real unleash-server 8.2.0 exported: everybody has what they had there.

`recorded/` holds that server's answers: its export, a feature and the segments of its admin API, and what SDKs get.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from flask import Flask
from yggdrasil_engine.engine import UnleashEngine

from control_plane.platform.runtime import cli_support
from flags import cli
from tests.conftest import ROOT
from tests.installation import Installation

RECORDED = ROOT / "tests" / "flags" / "unleash" / "recorded"
PAGE = (ROOT / "docs" / "migrating.md").read_text(encoding="utf-8")
USERS = [*map(str, range(990, 1200)), "7", "ann", "1e4", "55555"]
Run = Callable[..., Any]


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


@pytest.fixture
def follow(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`follow(export, *options)` types the page's own command for a file with this in it."""
    monkeypatch.setattr(cli_support, "application", lambda **_: app)
    monkeypatch.chdir(tmp_path)
    group = click.Group("rollout")
    cli.register(group)
    (line,) = re.findall(r"rollout (flags import .*)", PAGE)
    words = re.findall(r'"[^"]*"|\S+', line)

    def follow(export: Any, *options: str) -> tuple[int, dict[str, Any]]:
        (tmp_path / "export.json").write_text(json.dumps(export))
        done = CliRunner().invoke(group, [*(word.strip('"') for word in words), *options, "--json"])
        return done.exit_code, json.loads(done.stdout)

    return follow


def engine(document: Any) -> UnleashEngine:
    made = UnleashEngine()
    made.take_state(json.dumps(document))
    return made


@pytest.fixture
def served(app: Flask) -> Callable[[], UnleashEngine]:
    """The official engine, holding what an SDK is given here."""

    def ask() -> UnleashEngine:
        installation = Installation(app)
        installation.publish()
        headers = {"Authorization": installation.token("client"), "Unleash-Client-Spec": "5.2.0"}
        return engine(app.test_client().get("/api/client/features", headers=headers).json)

    return ask


def answers(asked: UnleashEngine, flag: str) -> list[tuple[bool, str]]:
    """Return what each user has: the flag, and the variant."""
    contexts = [{"userId": user, "remoteAddress": "10.0.0.1"} for user in USERS]
    return [
        (asked.check_enabled(flag, context).is_enabled, asked.check_variant(flag, context).variant.name)
        for context in contexts
    ]


def test_the_export_with_its_segments_leaves_everybody_what_they_had(
    follow: Run, served: Callable[[], UnleashEngine]
) -> None:
    export = recorded("export") | recorded("segments")
    code, found = follow(export)
    assert (code, {each["flag"] for each in found["refused"]}) == (1, {"banner"}), "IPv6 takes a confirmation"
    code, found = follow(export, "--confirm-moving")
    assert (code, found["features"], found["refused"]) == (0, 4, [])
    theirs, ours = engine(recorded("client")), served()
    for flag in ("checkout", "search", "child", "banner"):
        assert answers(ours, flag) == answers(theirs, flag), flag
    assert len(set(answers(ours, "search"))) == 3, "or nothing was compared"


def test_the_export_alone_names_the_segment_that_it_leaves_out(follow: Run) -> None:
    code, found = follow(recorded("export"), "--confirm-moving")
    assert (code, found["features"]) == (1, 3)
    (reason,) = found["refused"]
    assert (reason["flag"], "segment 1 (pros)" in reason["message"]) == ("checkout", True)


def test_a_feature_of_the_admin_api_is_taken_for_the_environment_named(
    follow: Run, served: Callable[[], UnleashEngine]
) -> None:
    code, found = follow(recorded("single") | recorded("segments"))
    assert (code, found["features"]) == (0, 1)
    assert not any(on for on, _ in answers(served(), "checkout")), "it is off in production there"


def test_what_sdks_are_given_is_taken_too(follow: Run, served: Callable[[], UnleashEngine]) -> None:
    assert follow(recorded("client"), "--confirm-moving")[0] == 0
    for flag in ("checkout", "search", "child", "banner"):
        assert answers(served(), flag) == answers(engine(recorded("client")), flag)
