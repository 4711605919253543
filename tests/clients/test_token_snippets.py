"""What a page shows beside a new token is run as it stands there, against the real server."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from control_plane.experiments.credits import FLAG
from control_plane.platform.identity_types import TokenType
from dashboards.token_snippets import snippets
from flags.store import UserAttributes
from tests import node
from tests.installation import Installation
from tests.serving import Served

SECONDS = 60


def run(served: Served, installation: Installation, token_type: TokenType, name: str, place: Path) -> str:
    """Run the snippet where the environment is as the first one makes it; return its output."""
    secret = installation.token(token_type.value)
    export, *rest = snippets(token_type, served.url, secret)
    (text,) = [each.text.replace("MY_FLAG", FLAG) for each in rest if each.name == name]
    command = {"python": [sys.executable, "-c"], "node": [str(node.NODE), "-e"], "curl": ["bash", "-euc"]}[name]
    lines = f'{export.text}\nexec "$@"'
    environment = {"PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place)} | node.environment()
    done = subprocess.run(
        ["bash", "-euc", lines, "bash", *command, text],
        env=environment,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def ready(
    served_installation: tuple[Served, Installation], eventually: Callable[[Callable[[], bool]], None]
) -> tuple[Served, Installation]:
    """A served installation that knows user 42, who has the flag from the guard's first tick on."""
    served, installation = served_installation
    installation.users(UserAttributes("42", "free", beta=True))
    installation.move(1)
    asked, headers = f"{served.url}/api/frontend?userId=42", {"Authorization": installation.token("frontend")}
    eventually(lambda: FLAG in requests.get(asked, headers=headers, timeout=5).text)
    return served, installation


@pytest.mark.parametrize("name", ["python", "node", "curl"])
def test_a_flag_is_asked_for_with_a_client_token(ready: tuple[Served, Installation], tmp_path: Path, name: str) -> None:
    printed = run(*ready, TokenType.CLIENT, name, tmp_path)
    if name == "curl":
        assert FLAG in [feature["name"] for feature in json.loads(printed)["features"]]
    else:
        assert printed.split()[-1].lower() == "true"


@pytest.mark.parametrize("name", ["python", "node", "curl"])
@pytest.mark.parametrize(
    ("token_type", "expected"),
    [(TokenType.FRONTEND, "toggles"), (TokenType.ADMIN, FLAG), (TokenType.SERVICE, "remaining")],
)
def test_every_other_token_opens_what_its_snippet_asks_for(
    ready: tuple[Served, Installation], tmp_path: Path, token_type: TokenType, expected: str, name: str
) -> None:
    assert expected in run(*ready, token_type, name, tmp_path)
