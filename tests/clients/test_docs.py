"""The page for service developers: every example on it is run as it stands there, against the real server."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from flags.store import UserAttributes
from tests import node
from tests.installation import Installation
from tests.processes import free_port
from tests.serving import COMMAND, ROOT, SECRET_KEY, Served

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
SECONDS = 60
Wait = Callable[[Callable[[], bool]], None]


def examples(language: str) -> list[str]:
    page = (ROOT / "docs" / "flags.md").read_text(encoding="utf-8")
    return [text for name, text in BLOCK.findall(page) if name == language]


TOKENS, CURL, RELAY = examples("bash")


@pytest.fixture(scope="module")
def environment(
    served_installation: tuple[Served, Installation], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """Return the environment that the page tells to export; its tokens are made by its own lines."""
    (served, installation), place = served_installation, tmp_path_factory.mktemp("service")
    installation.users(UserAttributes("u1", "free", beta=True))
    installation.move(1)
    ours = {"PATH": f"{COMMAND.parent}:{os.environ['PATH']}", "HOME": str(place)}
    here = {"INSTANCE_DIR": str(served.log.parent), "SECRET_KEY": SECRET_KEY, "ALERTS_FILE": str(ROOT / "alerts.yaml")}
    client, browser = re.findall(r"\*:production\.\S+", bash(TOKENS, ours | here, place))
    return ours | {"FLAGS_URL": served.url, "FLAGS_TOKEN": client, "FLAGS_BROWSER_TOKEN": browser}


def bash(lines: str, environment: dict[str, str], place: Path) -> str:
    return output(["bash", "-euc", lines], environment, place)


def output(command: list[str], environment: dict[str, str], place: Path) -> str:
    done = subprocess.run(
        command, env=environment, cwd=place, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(examples("python"))))
def test_python(environment: dict[str, str], tmp_path: Path, number: int) -> None:
    seen = environment | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    assert output([sys.executable, "-c", examples("python")[number]], seen, tmp_path).split() == ["True"]


def test_node(environment: dict[str, str], tmp_path: Path) -> None:
    [example] = examples("js")
    command = [str(node.NODE), "--experimental-eventsource", "-e", example]
    assert output(command, environment | node.environment(), tmp_path).split() == ["true"]


def test_curl(environment: dict[str, str], tmp_path: Path) -> None:
    answers = bash(CURL, environment, tmp_path)
    evaluated, end = json.JSONDecoder().raw_decode(answers)
    assert (evaluated["value"], evaluated["reason"]) == (True, "TARGETING_MATCH")
    assert [toggle["name"] for toggle in json.loads(answers[end:])["toggles"]] == ["ENABLE_CREDITS_V2"]


@pytest.fixture
def relay(environment: dict[str, str], tmp_path: Path) -> Iterator[str]:
    port = free_port()
    lines = "exec env " + RELAY.replace("PORT=8001", f"PORT={port}")
    with subprocess.Popen(["bash", "-euc", lines], env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL) as program:
        yield f"http://127.0.0.1:{port}"
        program.terminate()


def test_relay(environment: dict[str, str], relay: str, eventually: Wait) -> None:
    headers = {"Authorization": environment["FLAGS_TOKEN"]}

    def answers() -> bool:
        try:
            return requests.get(f"{relay}/api/client/features", headers=headers, timeout=5).status_code == 200
        except requests.ConnectionError:
            time.sleep(0.1)
            return False

    eventually(answers)


def test_the_page_is_one_page() -> None:
    assert len((ROOT / "docs" / "flags.md").read_text(encoding="utf-8").splitlines()) <= 100
