"""`rollout demo` as a visitor has it: a page that orders a fault, and a rollback that follows."""

import re
import time
from pathlib import Path

import pytest
import requests

from control_plane.experiments.credits import FLAG
from tests.dashboards.simulation.commands import command, wait_for
from tests.processes import free_port

pytestmark = pytest.mark.faults

PATIENCE_SECONDS = 60


def test_a_fault_that_is_ordered_on_the_page_is_rolled_back(tmp_path: Path) -> None:
    port = free_port()
    printed = tmp_path / "printed"
    with command(tmp_path, port, "demo", "--no-history", "--rate", "40", printed=printed):
        wait_for(lambda: "Sign in" in printed.read_text())
        visitor, page = _signed_in(port, printed.read_text())
        assert "This is a demonstration" in visitor.get(page, timeout=5).text
        _order(visitor, page, "nonsense", 400)
        _wait_until(visitor, page, phase="beta")
        _order(visitor, page, "fail", 303)
        _wait_until(visitor, page, state="rolled_back")
        assert "v2 fails one operation in five" in visitor.get(page, timeout=5).text


def _signed_in(port: int, printed: str) -> tuple[requests.Session, str]:
    page, visitor = f"http://127.0.0.1:{port}", requests.Session()
    visitor.headers["Origin"] = page
    assert visitor.post(f"{page}/demonstration/order", data={"order": "fail"}, timeout=5).status_code == 401
    password = re.search(r"owner / (\S+)", printed)
    assert password is not None
    visitor.post(f"{page}/sign-in", data={"username": "owner", "password": password[1]}, timeout=5).raise_for_status()
    return visitor, page


def _order(visitor: requests.Session, page: str, name: str, status: int) -> None:
    answered = visitor.post(f"{page}/demonstration/order", data={"order": name}, allow_redirects=False, timeout=5)
    assert answered.status_code == status


def _wait_until(visitor: requests.Session, page: str, **wanted: str) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not wanted.items() <= visitor.get(f"{page}/api/rollouts/{FLAG}", timeout=5).json().items():
        assert time.monotonic() < give_up
        time.sleep(0.2)
