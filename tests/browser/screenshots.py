"""`make screenshots`: every screen of a demonstration, light and dark, on a desktop and a telephone, and on paper.

They are written to build/screenshots, for somebody to look at one by one.
"""

import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Literal

import click
import pyotp
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect, sync_playwright

from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from tests import chromium, people
from tests.applications import application
from tests.browser import example_rollouts
from tests.browser.example_rollouts import STRIPE_EVENT
from tests.browser.pages import ROOT
from tests.dashboards.simulation.commands import command, wait_for
from tests.processes import free_port
from tests.serving import serving

FOLDER = ROOT / "build" / "screenshots"
DEVICES: dict[str, ViewportSize] = {
    "desktop": {"width": 1280, "height": 860},
    "telephone": {"width": 390, "height": 844},
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
PAPER: ViewportSize = {"width": 794, "height": 1123}
"""A4 at 96 dots per inch."""
LOCALES = {"en": "en-GB", "es": "es-ES"}
ZONES = {"en": "UTC", "es": "Europe/Madrid"}
PATIENCE_MS = 300_000
HEIGHT_MAX = 12_000
SEGMENT = """- {contextName: country, operator: IN, values: [ES, FR, PT]}
- {contextName: plan, operator: IN, values: [trial], inverted: true}"""
DEFINITION = """{"enabled": true, "strategies": [{"name": "flexibleRollout", "segments": [1],
  "parameters": {"rollout": "25", "groupId": "checkout", "stickiness": "userId"}}],
  "variants": [{"name": "blue", "weight": 500}, {"name": "red", "weight": 500}]}"""

BEFORE = {
    "rollouts": "/",
    "rollout": f"/rollouts/{FLAG}",
    "rollout-24h": f"/rollouts/{FLAG}?window=24h",
    "ask-advance": f"/rollouts/{FLAG}/advance",
    "ask-hold": f"/rollouts/{FLAG}/hold",
    "ask-rollback": f"/rollouts/{FLAG}/rollback",
    "checklists": f"/rollouts/{FLAG}/checklists",
    "plan": f"/rollouts/{FLAG}/plan",
    "new-rollout": "/new-rollout",
    "roll-back": "/roll-back",
    "flags": "/flags",
    "flag": "/flag/checkout",
    "flag-definition": "/flag/checkout/environments/production",
    "stale-flags": "/flags/stale",
    "segments": "/segments",
    "segment": "/segments/production/1",
    "segment-form": "/segments/production/1/edit",
    "new-segment": "/new-segment",
    "explain": "/explain?user=u3",
    "explain-nobody": "/explain",
    "users": "/users",
    "alerts": "/alerts",
    "alert": "/alerts/credit_consumption_failure",
    "credits": "/credits?user=u3",
    "variances": "/credits/variances",
    "operation": "/credits/operations/1800",
    "catalogue": "/catalogue",
    "catalogue-edit": "/catalogue/plans?plan=pro",
    "catalogue-kinds": "/catalogue/kinds",
    "catalogue-prices": "/catalogue/prices",
    "usage": "/usage",
    "usage-accounts": "/usage?by=account",
    "usage-account": "/usage?account=u3",
    "billing": "/billing",
    "connections": "/connections",
    "audit": "/audit",
    "people": "/people",
    "lock": "/people/2/lock",
    "account": "/account",
    "system": "/system",
    "glossary": "/glossary",
    "not-found": "/rollouts/NOTHING",
}
FIRST = {
    "welcome": "/",
    "welcome-flags": "/flags",
    "welcome-credits": "/credits",
    "welcome-alerts": "/alerts",
    "welcome-explain": "/explain",
    "welcome-variances": "/credits/variances",
    "welcome-usage": "/usage",
    "welcome-billing": "/billing",
    "welcome-catalogue": "/catalogue",
    "welcome-connections": "/connections",
    "welcome-segments": "/segments",
    "welcome-users": "/users",
    "welcome-audit": "/audit",
    "welcome-system": "/system",
}
"""Of an installation in which nobody has done anything."""
AFTER = {
    "after-rollouts": "/",
    "after-rollout": f"/rollouts/{FLAG}",
    "after-ask-rearm": f"/rollouts/{FLAG}/rearm",
    "after-remediation": f"/rollouts/{FLAG}/rollbacks/1",
    "after-alerts": "/alerts",
    "after-alert": "/alerts/credit_variance",
    "after-variances": "/credits/variances",
    "after-audit": "/audit",
    "after-explain": "/explain?user=u3",
}
"""After a rollback that was ordered from a page."""


EXAMPLES = {"example-rollout": f"/rollouts/{FLAG}", "billing-event": f"/billing/{STRIPE_EVENT}"}
"""Of what a demonstration lacks: contacts in a plan, an event of Stripe's."""


def main() -> None:
    """Take them all; `python -m tests.browser.screenshots es` takes those of the pages in Spanish."""
    code = sys.argv[1] if len(sys.argv) > 1 else "en"
    with fresh_installation() as address, chromium_of_ours() as browser:
        _shoot_each(browser, address, None, {"sign-in": "/sign-in"}, code)
        state = _sign_in(browser, address, "alice", people.PASSWORD)
        _shoot_each(browser, address, state, FIRST, code)
    with demonstration() as (address, password), chromium_of_ours() as browser:
        state = _sign_in(browser, address, "owner", password)
        _add_missing_objects(browser, address, state)
        _shoot_each(browser, address, state, BEFORE, code)
        _roll_back(browser, address, state)
        _shoot_each(browser, address, state, AFTER, code)
    with fresh_installation(with_examples=True) as address, chromium_of_ours() as browser:
        state = _sign_in(browser, address, "alice", people.PASSWORD)
        _shoot_each(browser, address, state, EXAMPLES, code)
        _shoot_each(browser, address, state, {}, code, answers=_set_up_second_factor(browser, address, state, code))
    click.echo(f"{len(list(FOLDER.rglob('*.png')))} screenshots in {FOLDER}")


@contextmanager
def fresh_installation(*, with_examples: bool = False) -> Iterator[str]:
    """Serve an installation with its people and nothing else, or rollouts to look at; yield its address."""
    with tempfile.TemporaryDirectory() as name:
        settings = Settings(database_url=f"sqlite:///{name}/rollout.db", instance_dir=Path(name), background=False)
        with application(settings) as app:
            people.invite(app, datetime.now(UTC))
            if with_examples:
                example_rollouts.set_up(app, datetime.now(UTC))
        with serving(Path(name)) as served:
            yield served.url


@contextmanager
def demonstration() -> Iterator[tuple[str, str]]:
    """Serve a demonstration; yield its address and its owner's password."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        printed = folder / "printed"
        with command(folder, port, "demo", "--manual", printed=printed):
            wait_for(lambda: "Sign in" in printed.read_text(), PATIENCE_MS / 1000)
            password = re.search(r"owner / (\S+)", printed.read_text())
            assert password is not None
            yield f"http://127.0.0.1:{port}", password[1]


@contextmanager
def chromium_of_ours() -> Iterator[Browser]:
    """Start the Chromium that the browser tests take."""
    path = chromium.executable()
    if path is None:
        raise SystemExit(chromium.HOW_TO_GET_IT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(chromium.ARGUMENTS))
        yield browser
        browser.close()


def _sign_in(browser: Browser, address: str, name: str, password: str) -> Path:
    state = FOLDER / "state.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with browser.new_context(base_url=address, locale=LOCALES["en"]) as context:
        page = context.new_page()
        page.goto("/sign-in")
        page.locator("#username").fill(name)
        page.locator("#password").fill(password)
        page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", name="Rollouts", level=1)).to_be_visible()
        context.storage_state(path=state)
    return state


def _add_missing_objects(browser: Browser, address: str, state: Path) -> None:
    """Make by the pages what a demonstration lacks: a flag without a rollout, a segment, a person and a token."""
    with browser.new_context(base_url=address, locale=LOCALES["en"], storage_state=state) as context:
        forms: Mapping[str, Mapping[str, str]] = {
            "/flags": {"name": "checkout", "environment": "production", "description": "The new till."},
            "/new-segment": {"environment": "production", "version": "0", "name": "Iberia and France", "text": SEGMENT}
            | {"do": "save"},
            "/flag/checkout/environments/production": {"version": "1", "text": DEFINITION},
            "/people": {"username": "olga", "role": "operator"},
            "/tokens": {"name": "shop", "type": "client", "environment": "production", "days": "90"},
        }
        for path, form in forms.items():
            headers = {"Sec-Fetch-Site": "same-origin"}
            answer = context.request.post(path, form={**form, "reason": "As agreed."}, headers=headers)
            assert answer.ok, (path, answer.text())


def _roll_back(browser: Browser, address: str, state: Path) -> None:
    with browser.new_context(base_url=address, locale=LOCALES["en"], storage_state=state) as context:
        page = context.new_page()
        page.goto(f"/rollouts/{FLAG}")
        page.get_by_label("What goes wrong").select_option(label="v2 charges one operation in five twice")
        page.get_by_role("button", name="Let it happen").click()
        page.goto(f"/rollouts/{FLAG}")
        left = page.get_by_role("region", name="After the rollback")
        expect(left).to_contain_text("Waits for approval", timeout=PATIENCE_MS)


def _set_up_second_factor(browser: Browser, address: str, state: Path, code: str) -> Mapping[str, str]:
    """Set up a second factor; return the pages that are shown once, by name."""
    headers = {"Sec-Fetch-Site": "same-origin", "Accept-Language": code}
    with browser.new_context(base_url=address, storage_state=state) as context:
        begun = context.request.post("/account/second-factor/begin", headers=headers).text()
        secret = re.search(r'id="secret"[^>]* value="([A-Z2-7]{32})"', begun)
        assert secret is not None
        form: dict[str, str | float | bool] = {"present": people.PASSWORD, "code": pyotp.TOTP(secret[1]).now()}
        codes = context.request.post("/account/second-factor", form=form, headers=headers).text()
    return {"second-factor": begun, "recovery-codes": codes}


def _shoot_each(
    browser: Browser,
    address: str,
    state: Path | None,
    screens: Mapping[str, str],
    code: str,
    *,
    answers: Mapping[str, str] | None = None,
) -> None:
    """Take each of these screens on every device in every scheme, and on paper; of `answers` the HTML is given."""
    sheets = [(f"{device}-{scheme}", viewport, scheme) for device, viewport in DEVICES.items() for scheme in SCHEMES]
    for sheet, viewport, scheme in [*sheets, ("paper", PAPER, "light")]:
        folder = FOLDER / f"{code}-{sheet}"
        folder.mkdir(parents=True, exist_ok=True)
        with browser.new_context(
            base_url=address,
            locale=LOCALES[code],
            timezone_id=ZONES[code],
            storage_state=state,
            viewport=viewport,
            color_scheme=scheme,
            reduced_motion="reduce",
        ) as context:
            page = context.new_page()
            page.emulate_media(media="print" if viewport is PAPER else "screen")
            for name, html in (answers or {}).items():
                page.route(f"**/{name}", partial(_fulfill, html))
                _shoot(page, f"/{name}", folder / f"{name}.png")
            for name, path in screens.items():
                _shoot(page, path, folder / f"{name}.png")


def _fulfill(html: str, route: Route) -> None:
    route.fulfill(body=html, content_type="text/html; charset=utf-8")


def _shoot(page: Page, path: str, file: Path) -> None:
    """Take a page whole: in a window as high as it is, or the bar of actions would stand in its middle."""
    page.goto(path)
    before = page.viewport_size
    assert before is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": before["width"], "height": min(max(height, before["height"]), HEIGHT_MAX)})
    page.screenshot(path=file)
    page.set_viewport_size(before)


if __name__ == "__main__":
    main()
