"""Many people are kept out by name: no official client exposes one of them, whichever way it follows."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from UnleashClient import UnleashClient
from UnleashClient.cache import FileCache

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from flags.administration.overrides import put_override, remove_override
from flags.store import Effect
from tests.clients.test_node import client
from tests.installation import Installation

pytestmark = pytest.mark.faults

KEPT_OUT = 420
OTHERS = [f"other-{number}" for number in range(60)]
Wait = Callable[[Callable[[], bool]], None]


def names(first: int, last: int) -> list[str]:
    return [f"kept-out-{number}" for number in range(first, last)]


def change(installation: Installation, *, deny: Sequence[str] = (), end: Sequence[str] = ()) -> None:
    because = ChangeContext(datetime.now(UTC), "test", "Asked for by support.")
    with installation.app.app_context(), transaction() as session:
        for user in deny:
            put_override(session, FLAG, user, Effect.DENY, because)
        for user in end:
            remove_override(session, FLAG, user, Effect.DENY, because)


@pytest.fixture
def everyone(installation: Installation) -> Installation:
    """The flag is on for everybody but 420 people."""
    change(installation, end=names(0, KEPT_OUT + 40))
    change(installation, deny=names(0, KEPT_OUT))
    installation.move(3, 3)
    return installation


@pytest.mark.parametrize("kind", ["polling", "delta", "streaming"])
def test_node_exposes_nobody_while_names_come_and_go(
    kind: str, url: str, everyone: Installation, tmp_path: Path, eventually: Wait
) -> None:
    with client(kind, url, everyone, tmp_path) as ask:
        eventually(lambda: ask(OTHERS[0])["value"])
        assert all(ask(user)["value"] for user in OTHERS)
        assert not any(ask(user)["value"] for user in names(0, KEPT_OUT))
        change(everyone, deny=names(KEPT_OUT, KEPT_OUT + 40), end=names(0, 200))
        eventually(lambda: ask("kept-out-0")["value"] and not ask(f"kept-out-{KEPT_OUT}")["value"])
        assert not any(ask(user)["value"] for user in names(200, KEPT_OUT + 40))
        assert all(ask(user)["value"] for user in names(0, 200))


def test_python_exposes_nobody_while_names_come_and_go(
    url: str, everyone: Installation, tmp_path: Path, eventually: Wait
) -> None:
    sdk = UnleashClient(
        f"{url}/api",
        "shop",
        custom_headers={"Authorization": everyone.token("client")},
        refresh_interval=1,
        disable_metrics=True,
        cache=FileCache("kept-out", directory=str(tmp_path / "cache")),
    )
    sdk.initialize_client()
    try:
        eventually(lambda: sdk.is_enabled(FLAG, {"userId": OTHERS[0]}))
        assert not any(sdk.is_enabled(FLAG, {"userId": user}) for user in names(0, KEPT_OUT))
        change(everyone, deny=names(KEPT_OUT, KEPT_OUT + 40), end=names(0, 200))
        eventually(lambda: sdk.is_enabled(FLAG, {"userId": "kept-out-0"}))
        assert not any(sdk.is_enabled(FLAG, {"userId": user}) for user in names(200, KEPT_OUT + 40))
        assert all(sdk.is_enabled(FLAG, {"userId": user}) for user in (*OTHERS, *names(0, 200)))
    finally:
        sdk.destroy()


def test_who_was_kept_out_for_a_while_is_let_in_again_when_it_ends(
    url: str, everyone: Installation, tmp_path: Path, eventually: Wait
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=4)
    because = ChangeContext(datetime.now(UTC), "test", "For a moment.")
    with everyone.app.app_context(), transaction() as session:
        put_override(session, FLAG, "for-a-while", Effect.DENY, because, expires_at=soon)
    with client("streaming", url, everyone, tmp_path) as ask:
        eventually(lambda: ask(OTHERS[0])["value"])
        assert not ask("for-a-while")["value"] or datetime.now(UTC) >= soon
        eventually(lambda: ask("for-a-while")["value"])
        assert not any(ask(user)["value"] for user in names(0, KEPT_OUT))
