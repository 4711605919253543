"""The pages in Spanish, which is longer than English: accessible, within a small telephone, live, all of a piece."""

import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from control_plane.experiments.credits import FLAG
from tests.browser.conftest import OpenPage
from tests.browser.layout import assert_tidy
from tests.browser.pages import assert_accessible
from tests.browser.test_screens import SCREENS
from tests.people import PASSWORD

SPANISH = "es-ES"
SMALL_TELEPHONE = {"width": 320, "height": 640}


@pytest.fixture(scope="module")
def base_url(examples_url: str) -> str:
    """The rollouts that are worth looking at."""
    return examples_url


@pytest.fixture(scope="module")
def signed_in(browser: Browser, base_url: str) -> Any:
    """Return the browser's state once the owner has signed in, by a form in Spanish."""
    with browser.new_context(base_url=base_url, locale=SPANISH) as context:
        page = context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Nombre de usuario").fill("alice")
        page.get_by_label("Contraseña").fill(PASSWORD)
        page.get_by_role("button", name="Iniciar sesión", exact=True).click()
        expect(page.get_by_role("heading", name="Despliegues", level=1)).to_be_visible()
        return context.storage_state()


@pytest.fixture
def alicia(open_page: OpenPage, signed_in: Any) -> Page:
    """A page of the owner's, in a browser that asks for Spanish."""
    return open_page(storage_state=signed_in, locale=SPANISH)


@pytest.mark.parametrize("address", SCREENS.values(), ids=SCREENS.keys())
def test_a_screen_fits_a_small_telephone_in_spanish(open_page: OpenPage, signed_in: Any, address: str) -> None:
    page = open_page(viewport=SMALL_TELEPHONE, storage_state=signed_in, locale=SPANISH)
    page.goto(address)
    assert page.locator("html").get_attribute("lang") == "es"
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_TELEPHONE["width"]
    assert_tidy(page)


@pytest.mark.parametrize("address", [SCREENS[name] for name in ("list", "rollout", "plan", "alert", "users")])
def test_a_screen_is_accessible_in_spanish(alicia: Page, address: str) -> None:
    """The elements are those of the English page; what a translation may break are labels and names."""
    alicia.goto(address)
    assert_accessible(alicia)


def test_signing_in_is_accessible_and_says_in_spanish_what_was_wrong(
    open_page: OpenPage, complaints: list[str]
) -> None:
    page = open_page(locale=SPANISH)
    page.goto("/sign-in")
    page.get_by_label("Nombre de usuario").fill("alice")
    page.get_by_label("Contraseña").fill("otra cosa")
    page.get_by_role("button", name="Iniciar sesión", exact=True).click()
    expect(page.get_by_role("alert")).to_have_text(re.compile("El usuario o la contraseña no son correctos"))
    assert_accessible(page)
    assert "401" in complaints.pop()


def test_the_dialog_of_a_rollback_asks_in_spanish(alicia: Page) -> None:
    alicia.goto(SCREENS["rollout"])
    alicia.get_by_role("link", name="Revertir…").click()
    dialog = alicia.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="¿Revertir ahora a legacy?")).to_be_visible()
    expect(dialog).to_contain_text("Queda en el registro de auditoría con su nombre.")
    assert_accessible(alicia)
    dialog.get_by_role("button", name="Cancelar").click()
    expect(dialog).to_be_hidden()


def test_a_page_stays_spanish_while_it_lives(alicia: Page) -> None:
    """Another thread, apart from the page, renders what a stream sends."""
    alicia.goto(SCREENS["rollout"])
    expect(alicia.locator(".live-state")).to_have_text("En vivo")
    expect(alicia.get_by_role("heading", name="Siguiente paso", level=2)).to_be_visible()
    alicia.wait_for_timeout(2_500)
    for english in ("Next step", "Latest changes", "Exposure", "Gates", "Advance"):
        expect(alicia.locator("main")).not_to_contain_text(english)


def test_copying_and_reading_a_chart_answer_in_spanish(alicia: Page) -> None:
    alicia.goto(SCREENS["alert"])
    figure = alicia.get_by_role("group", name=re.compile("se lee con las teclas de flecha"))
    figure.focus()
    alicia.keyboard.press("ArrowLeft")
    expect(alicia.locator(".reading").first).to_contain_text("UTC:")
    expect(alicia.get_by_role("heading", name="Qué concluye el guardián")).to_be_visible()


def test_a_language_that_was_chosen_outweighs_the_browsers(open_page: OpenPage, signed_in: Any) -> None:
    page = open_page(storage_state=signed_in, locale="en-GB")
    page.goto("/account")
    page.get_by_label("Language of the pages").select_option("Español")
    page.get_by_role("button", name="Use this language").click()
    expect(page.get_by_role("status").first).to_contain_text("A partir de ahora las páginas están en este idioma.")
    page.goto(f"/rollouts/{FLAG}")
    expect(page.get_by_role("heading", name="Salvaguardas")).to_be_visible()
    page.goto("/account")
    page.get_by_label("Idioma de las páginas").select_option("")
    page.get_by_role("button", name="Usar este idioma").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
