"""The official clients of Node and of browsers, unmodified, on a real Node."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from control_plane.experiments.credits import FLAG
from flags.evaluation.bucketing import bucket
from flags.evaluation.timestamps import format_timestamp
from flags.store import UserAttributes
from tests import node
from tests.installation import CUTOVER, Installation

ASK = node.PROJECT / "ask.js"
TYPES = {"proxy": "frontend", "ofrep-web": "frontend"}
KINDS = ("polling", "delta", "streaming", "proxy", "ofrep-server", "ofrep-web")
Wait = Callable[[Callable[[], bool]], None]
Ask = Callable[..., dict[str, Any]]


@contextmanager
def client(
    kind: str, url: str, installation: Installation, folder: Path, *, place: str = "production", **settings: str
) -> Iterator[Ask]:
    """Yield a function that asks the client for the flag of a user in this environment."""
    token = installation.token(TYPES.get(kind, "client"), environment=place, trusted_attributes=["signupDate"])
    command = [str(node.NODE), "--experimental-eventsource", str(ASK), kind, url, token]
    environment = node.environment(BACKUP=str(folder), **settings)
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        questions, answers = program.stdin, program.stdout
        assert questions is not None
        assert answers is not None

        def ask(user_id: str, flag: str = FLAG, **properties: str) -> dict[str, Any]:
            question = {"flag": flag, "context": {"userId": user_id, "properties": properties}}
            questions.write(json.dumps(question) + "\n")
            questions.flush()
            answer: dict[str, Any] = json.loads(answers.readline())
            return answer

        yield ask
        questions.close()


@pytest.mark.parametrize("kind", KINDS)
def test_it_sees_allowlist_percentage_and_rollback(
    kind: str, url: str, installation: Installation, tmp_path: Path, eventually: Wait
) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    inside, outside = _user_in(range(1, 26)), _user_in(range(26, 101))
    with client(kind, url, installation, tmp_path) as ask:
        assert not ask("beta-user")["value"]
        installation.move(1)
        eventually(lambda: ask("beta-user")["value"])
        assert not ask("other")["value"]
        installation.move(2, 3)
        eventually(lambda: ask("new", signupDate=format_timestamp(CUTOVER + timedelta(days=1)))["value"])
        assert not ask("old", signupDate=format_timestamp(CUTOVER - timedelta(days=1)))["value"]
        installation.move(3, 1)
        eventually(lambda: ask(inside)["value"])
        assert not ask(outside)["value"]
        installation.roll_back()
        # A client of a browser that polls meanwhile answers for the user before: off, but not by the rollback.
        eventually(lambda: not ask(inside)["value"])
        eventually(lambda: not ask("beta-user")["value"])


def test_a_browser_may_post_instead(url: str, installation: Installation, tmp_path: Path, eventually: Wait) -> None:
    installation.move(3, 3)
    with client("proxy", url, installation, tmp_path, METHOD="POST") as ask:
        eventually(lambda: ask("anybody")["value"])


def _user_in(buckets: range) -> str:
    return next(name for name in map("user-{}".format, range(1000)) if bucket(FLAG, name) in buckets)
