"""`flags.client`: what a Python service writes, and the mistakes it then can't make."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from flask import Flask

from control_plane.experiments.credits import FLAG
from flags import client
from flags.client import Flags
from flags.client.flask import init_app
from flags.client.hooks import EvaluationReason, FlagEvaluation
from flags.store import UserAttributes
from tests.installation import CUTOVER, Installation
from tests.processes import free_port

Wait = Callable[[Callable[[], bool]], None]
Offline = Callable[..., Flags]
NOBODY = f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="module")
def offline_flags() -> Iterator[list[Flags]]:
    """Those without a server: each waits some seconds for its stream to end, so they are closed all at once."""
    offline_flags: list[Flags] = []
    yield offline_flags
    with ThreadPoolExecutor(len(offline_flags) or 1) as threads:
        list(threads.map(Flags.close, offline_flags))


@pytest.fixture
def offline(offline_flags: list[Flags], tmp_path: Path) -> Offline:
    """`alone(token)` is what a service holds whose server is away."""

    def connect(token: str, *, patience_seconds: float = client.PATIENCE_SECONDS) -> Flags:
        offline_flags.append(client.connect(NOBODY, token, cache_dir=tmp_path, patience_seconds=patience_seconds))
        return offline_flags[-1]

    return connect


@pytest.fixture
def flags(url: str, installation: Installation, tmp_path: Path) -> Iterator[Flags]:
    """Connect a service to its flags in production."""
    made = client.connect(url, installation.token("client"), app_name="shop", cache_dir=tmp_path)
    yield made
    made.close()


def test_it_knows_the_flags_at_the_first_question_and_every_change_after(
    flags: Flags, installation: Installation, eventually: Wait
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    installation.move(1)
    assert not flags.is_enabled(FLAG, "other")
    eventually(lambda: flags.is_enabled(FLAG, "beta-user"))
    installation.move(2, 3)
    after = (CUTOVER + timedelta(days=1)).astimezone(timezone(timedelta(hours=5)))
    eventually(lambda: flags.is_enabled(FLAG, 7, signed_up_at=after))
    assert not flags.is_enabled(FLAG, 7, signed_up_at=CUTOVER - timedelta(days=1))
    assert flags.variant(FLAG, "beta-user")["name"] == "disabled"


def test_a_flag_that_is_not_there_has_the_default(flags: Flags) -> None:
    assert flags.is_enabled("NOT_THERE", "7", default=True)
    assert not flags.is_enabled("NOT_THERE", "7")


def test_a_signup_without_a_time_zone_is_a_mistake_of_the_caller(flags: Flags) -> None:
    with pytest.raises(ValueError, match="without a time zone"):
        flags.is_enabled(FLAG, "7", signed_up_at=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake


def test_it_starts_from_what_it_knew_when_the_server_is_away(
    url: str, installation: Installation, tmp_path: Path, offline: Offline
) -> None:
    token = installation.token("client", environment="staging")
    first = client.connect(url, token, cache_dir=tmp_path)
    assert first.is_enabled(FLAG)
    first.close()
    for path in tmp_path.rglob("*"):
        renamed = path.with_name(path.name.replace(_name(url, token), _name(NOBODY, token)))
        path.rename(renamed)
    assert offline(token).is_enabled(FLAG)


def test_without_server_and_memory_it_answers_the_default_soon(offline: Offline) -> None:
    flags = offline("*:production.x", patience_seconds=0.1)
    assert flags.is_enabled(FLAG, "7", default=True)
    assert not flags.is_enabled(FLAG, "7")


@pytest.mark.parametrize(
    ("environment", "word", "answer"),
    [("production", "false", False), ("production", "true", None), ("staging", "true", True), ("staging", "0", False)],
)
def test_the_environment_variable_decides_first(
    monkeypatch: pytest.MonkeyPatch, offline: Offline, environment: str, word: str, answer: bool | None
) -> None:
    monkeypatch.setenv(FLAG, word)
    flags = offline(f"*:{environment}.x", patience_seconds=0.0)
    for default in (True, False):
        assert flags.is_enabled(FLAG, "7", default=default) is (default if answer is None else answer)


def test_a_forked_process_has_threads_of_its_own(flags: Flags, installation: Installation) -> None:
    installation.move(3, 3)
    assert flags.client.is_initialized
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        thread = getattr(flags.client.connector, "_thread", None)
        os.write(writer, b"1" if thread is not None and thread.is_alive() else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"


def test_flask_services_configure_it(url: str, installation: Installation, tmp_path: Path) -> None:
    app = Flask("service")
    app.config.update(FLAGS_URL=url, FLAGS_TOKEN=installation.token("client", environment="staging"))
    made = init_app(app, cache_dir=tmp_path)
    assert app.extensions["rollout_flags"] is made
    assert made.is_enabled(FLAG)
    made.close()


def _name(url: str, token: str) -> str:
    place = client.Flags(url, token, app_name="", cache_dir=Path(os.devnull).parent, patience_seconds=0)
    return place._cache_name


def test_hooks_are_told_of_every_evaluation_and_how_it_came_about(
    url: str, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[FlagEvaluation] = []
    made = client.connect(url, installation.token("client"), cache_dir=tmp_path, hooks=[told.append])
    try:
        installation.move(3, 3)
        assert made.is_enabled("typo", "ann", default=True)
        made.variant(FLAG, 7)
        monkeypatch.setenv(FLAG, "off")
        assert not made.is_enabled(FLAG)
    finally:
        made.close()
    unknown, variant, switched = told
    assert (unknown.flag, unknown.value, unknown.user_id, unknown.reason) == (
        "typo",
        True,
        "ann",
        EvaluationReason.ERROR,
    )
    assert (variant.variant, variant.user_id, variant.environment) == ("disabled", "7", "production")
    assert (switched.value, switched.variant, switched.reason) == (False, "off", EvaluationReason.STATIC)
