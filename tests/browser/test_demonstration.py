"""`rollout demo` as a visitor has it: order a fault on the page, see it rolled back, pay back what is owed."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.pages import shoot
from tests.dashboards.simulation.commands import command, wait_for
from tests.processes import free_port

pytestmark = pytest.mark.faults

SIZE = {"width": 1200, "height": 1000}
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Serve a demonstration with its history; yield its URL and its owner's password."""
    folder, port = tmp_path_factory.mktemp("demonstration"), free_port()
    printed = folder / "printed"
    with command(folder, port, "demo", "--manual", printed=printed):
        wait_for(lambda: "Sign in" in printed.read_text())
        password = re.search(r"owner / (\S+)", printed.read_text())
        assert password is not None
        yield f"http://127.0.0.1:{port}", password[1]


@pytest.fixture(scope="module")
def base_url(demonstration: tuple[str, str]) -> str:
    return demonstration[0]


@pytest.fixture
def page(open_page: OpenPage, demonstration: tuple[str, str]) -> Page:
    """The rollout's page, signed in."""
    page = open_page(viewport=SIZE)
    page.goto("/sign-in")
    page.locator("#username").fill("owner")
    page.locator("#password").fill(demonstration[1])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.goto(f"/rollouts/{FLAG}")
    return page


def test_a_fault_is_ordered_rolled_back_and_paid_back(page: Page) -> None:
    expect(page.get_by_role("heading", name="This is a demonstration")).to_be_visible()
    page.get_by_label("What goes wrong").select_option(label="v2 charges one operation in five twice")
    page.get_by_role("button", name="Let it happen").click()
    page.goto(f"/rollouts/{FLAG}")
    state = page.locator("#state")
    expect(state.get_by_role("heading", name="Rolled back")).to_be_visible(timeout=PATIENCE_MS)
    expect(state).to_contain_text("legacy serves everybody in production")
    expect(state).to_contain_text(re.compile(r"v2 answered \d+ of [\d,]+ operations differently from legacy"))
    left = page.get_by_role("region", name="After the rollback")
    expect(left).to_contain_text("Waits for approval", timeout=PATIENCE_MS)
    shoot(page, "rollback")
    left.get_by_role("link", name="Accounts and corrections").click()
    page.get_by_label("Reason").fill("Charged twice.")
    approve = page.get_by_role("button", name="Approve the corrections")
    approve.click()
    expect(approve).to_have_count(0)
    expect(page.get_by_role("main")).to_contain_text(re.compile(r"Approved\s*owner, .*Charged twice\."))
