"""A passkey in a real Chromium: made on one's account, then signing in without a password and in place of a code."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.visitor import Visitor
from tests.people import PASSWORD

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def person(page: Page, base_url: str) -> Visitor:
    """Somebody whose browser has a device that makes passkeys; browsers make none for an address of digits."""
    devices = page.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    devices.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR})
    page.goto(base_url.replace("127.0.0.1", "localhost") + "/sign-in")
    return Visitor(page)


def sign_in(person: Visitor) -> None:
    person.fill("Username", "olga")
    person.fill("Password", PASSWORD)
    person.button("Sign in")


def sign_out(person: Visitor) -> None:
    person.open("olga")
    person.button("Sign out")


def test_a_passkey_signs_in_and_stands_in_for_a_code(person: Visitor, complaints: list[str]) -> None:
    sign_in(person)
    person.page.goto(person.page.url.partition("/")[0] + "//" + person.page.url.split("/")[2] + "/account")
    person.fill("Name of the device", "Olga's laptop")
    person.page.locator("#passkey-present").fill(PASSWORD)
    person.button("Add a passkey")
    person.expect("The passkey Olga's laptop was added.")

    sign_out(person)
    person.button("Sign in with a passkey")
    expect(person.page.get_by_role("heading", level=1)).to_have_text("Rollouts")

    sign_out(person)
    sign_in(person)
    person.expect("Now let your passkey say that it is you")
    person.button("Use a passkey")
    expect(person.page.get_by_role("heading", level=1)).to_have_text("Rollouts")
    assert complaints == []


def test_without_a_passkey_the_page_says_so(person: Visitor) -> None:
    person.button("Sign in with a passkey")
    expect(person.page.get_by_role("alert")).to_contain_text("No passkey was used.")
