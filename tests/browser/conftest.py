"""A real Chromium in front of the real server, and pages that must not complain."""

import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, sync_playwright

from control_plane.platform.settings import Settings
from tests import chromium, people
from tests.applications import application
from tests.browser import example_rollouts
from tests.browser.pages import sign_in
from tests.browser.visitor import Visitor
from tests.serving import serving

VIEWPORT: ViewportSize = {"width": 1200, "height": 860}
OPTIONS = {"viewport": VIEWPORT, "reduced_motion": "reduce", "timezone_id": "UTC"}

OpenPage = Callable[..., Page]
Visit = Callable[..., Visitor]
DEVICES: dict[str, ViewportSize] = {"desk": VIEWPORT, "telephone": {"width": 390, "height": 844}}
LANGUAGE_TAGS = {"en": "en-GB", "es": "es-ES"}


# Not for the session: Playwright keeps an event loop running in this thread, which no other test should meet.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; a test that needs it is skipped where there is none, and fails with `REQUIRE_BROWSER=1`."""
    path = chromium.executable()
    if path is None:
        stop = pytest.fail if chromium.is_required() else pytest.skip
        stop(chromium.HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def base_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a SQLite file that the tests of one module share, where the cast may sign in; yield its URL."""
    instance = tmp_path_factory.mktemp("instance")
    file = shutil.copy(sqlite_template, instance / "rollout.db")
    with application(Settings(database_url=f"sqlite:///{file}", instance_dir=instance, background=False)) as app:
        people.invite(app, datetime.now(UTC))
    with serving(instance) as served:
        yield served.url


@pytest.fixture(scope="module")
def signed_in(browser: Browser, base_url: str) -> Any:
    """Return the browser's state once the owner has signed in."""
    with browser.new_context(base_url=base_url) as context:
        sign_in(context.new_page(), "alice")
        return context.storage_state()


@pytest.fixture(scope="package")
def examples_url(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve rollouts that are worth looking at; yield the URL."""
    instance = tmp_path_factory.mktemp("staged")
    file = shutil.copy(sqlite_template, instance / "rollout.db")
    now = datetime.now(UTC)
    with application(Settings(database_url=f"sqlite:///{file}", instance_dir=instance, background=False)) as app:
        people.invite(app, now)
        example_rollouts.set_up(app, now)
    with serving(instance) as served:
        yield served.url


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """Yield a list of what pages write to their consoles, which must be empty at the end.

    A test that provokes an error removes it.
    """
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def open_page(browser: Browser, base_url: str, complaints: list[str]) -> Iterator[OpenPage]:
    """Open a page in a profile of its own: `open_page(color_scheme="dark", java_script_enabled=False)`."""
    contexts = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(base_url=base_url, **OPTIONS | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.extend(_complaint(message)))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    """A page in the light scheme, signed in as nobody."""
    return open_page(color_scheme="light")


def _complaint(message: ConsoleMessage) -> list[str]:
    return [f"{message.type}: {message.text}"] if message.type in ("error", "warning") else []


@pytest.fixture(
    params=[
        ("desk", "en"),
        pytest.param(("telephone", "en"), marks=pytest.mark.faults),
        pytest.param(("desk", "es"), marks=pytest.mark.long),
    ],
    ids="-".join,
)
def way(request: pytest.FixtureRequest) -> tuple[str, str]:
    """The device and the language. A task leaves something behind, so a run does each in one of these ways."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def visit(open_page: OpenPage, way: tuple[str, str], request: pytest.FixtureRequest) -> Iterator[Visit]:
    """`visit("olga")` is she at the front page, just signed in. Afterwards the clicks are printed."""
    visitors = []
    device, language = way

    def visit(name: str = "alice") -> Visitor:
        page = open_page(viewport=DEVICES[device], locale=LANGUAGE_TAGS[language])
        sign_in(page, name)
        visitors.append(Visitor(page, language))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        sys.stdout.write(f"{request.node.name}: {visitor.clicks} clicks\n")
