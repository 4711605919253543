"""The page of the glossary, and the links that lead to its terms."""

from collections.abc import Callable

from flask.testing import FlaskClient

from control_plane.core.phases import Rollout
from tests.dashboards.browsing import page_text

SignIn = Callable[[str], FlaskClient]
SPANISH = {"Accept-Language": "es"}


def test_every_page_leads_to_it_and_it_is_searched(sign_in: SignIn) -> None:
    victor = sign_in("victor")
    assert 'href="/glossary"' in victor.get("/").text
    page = victor.get("/glossary").text
    assert '<div id="cool-down">' in page
    assert "<code>unknown</code>" in page
    found = page_text(victor.get("/glossary?q=re-armed").text)
    assert "cool-down how long a rolled back rollout can't be re-armed Not: soak" in found
    assert "blast radius" not in found
    assert "No term like that" in page_text(victor.get("/glossary?q=<b>").text)


def test_in_spanish_a_term_has_its_english_name_beside_it_and_is_found_by_both(sign_in: SignIn) -> None:
    victor = sign_in("victor")
    for asked in ("puerta", "gate"):
        found = page_text(victor.get(f"/glossary?q={asked}", headers=SPANISH).text)
        assert "puerta gate lo que debe estar abierto antes de avanzar: open , closed o unknown" in found


def test_a_word_on_a_page_says_what_it_is_and_leads_there(sign_in: SignIn, planned: Rollout) -> None:
    page = sign_in("victor").get(f"/rollouts/{planned.flag}").text
    assert '<a class="term" href="/glossary#gate" title="what must be open before an advance' in page
    spanish = sign_in("victor").get(f"/rollouts/{planned.flag}", headers=SPANISH).text
    assert 'href="/glossary#gate" title="lo que debe estar abierto antes de avanzar' in spanish


def test_whoever_is_not_signed_in_is_sent_to_sign_in(client: FlaskClient) -> None:
    assert client.get("/glossary", headers={"Accept": "text/html"}).status_code in (302, 303)
