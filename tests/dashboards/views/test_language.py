"""A page, its refusals and its live parts are in the reader's language: the one they chose, else the browser's."""

import json
from collections.abc import Callable, Iterator, Mapping
from html import unescape
from itertools import takewhile
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse
from werkzeug.wrappers import Response

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.auth import account_store, audit
from control_plane.platform.identity_types import Person
from dashboards import language, live_pages
from tests.dashboards.browsing import page_text, read_session, write_session

SPANISH = {"Accept-Language": "es-ES,es;q=0.9,en;q=0.5"}
SignIn = Callable[[str], FlaskClient]

PAGES = [
    *("/", "/explain", "/users", "/alerts", "/credits", "/audit", "/people", "/system", "/roll-back", "/account"),
    *(
        "/segments",
        "/new-segment",
        "/flags",
        "/flags/stale",
        "/new-rollout",
        "/credits/variances",
        "/usage",
        "/billing",
        "/connections",
    ),
    *(f"/rollouts/{FLAG}", f"/rollouts/{FLAG}/plan", f"/rollouts/{FLAG}/checklists", f"/rollouts/{FLAG}/rollback"),
    *("/alerts/api_error_rate", "/credits?user=nobody", "/explain?user=1"),
]


@pytest.fixture
def reading_spanish(sign_in: SignIn) -> FlaskClient:
    """Alice, who chose Spanish on her account."""
    client = sign_in("alice")
    assert client.post("/account/language", data={"language": "es"}).status_code == 303
    return client


def page_language(answer: TestResponse) -> tuple[str, str]:
    """Return the language of a page as its header and its root element say it."""
    return answer.headers["Content-Language"], answer.text.partition('<html lang="')[2].partition('"')[0]


@pytest.mark.database("sqlite")
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ("es", "es"),
        ("es-MX,es;q=0.9", "es"),
        ("en-GB,en;q=0.9,es;q=0.8", "en"),
        ("de,es;q=0.5", "es"),
        ("de", "en"),
        ("*", "en"),
        ("", "en"),
        ("es;q=0, en", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_whoever_is_not_signed_in_reads_what_the_browser_asks_for(client: FlaskClient, asked: str, code: str) -> None:
    answer = client.get("/sign-in", headers={"Accept-Language": asked})
    assert page_language(answer) == (code, code)
    assert ("Iniciar sesión" in answer.text) is (code == "es")
    assert {"accept-language", "cookie"} <= {each.lower() for each in answer.vary}


@pytest.mark.database("sqlite")
def test_a_choice_counts_on_every_browser_and_none_goes_by_the_browser(app: Flask, sign_in: SignIn) -> None:
    here, there = sign_in("alice"), sign_in("alice")
    assert page_language(here.get("/account", headers=SPANISH)) == ("es", "es")
    here.post("/account/language", data={"language": "en"}, headers=SPANISH)
    assert page_language(there.get("/account", headers=SPANISH)) == ("en", "en")
    here.post("/account/language", data={"language": ""}, headers=SPANISH)
    assert page_language(there.get("/account", headers=SPANISH)) == ("es", "es")
    assert page_language(sign_in("olga").get("/account")) == ("en", "en")
    with read_session(app) as session:
        changes = [each for each in audit.latest(session, subject="person:alice", limit=9) if "language" in each.action]
    assert [(each.actor, each.before, each.after) for each in changes] == [
        ("alice", {"language": "en"}, {"language": None}),
        ("alice", {"language": None}, {"language": "en"}),
    ]


@pytest.mark.database("sqlite")
def test_a_choice_ends_no_session_and_is_said_in_the_language_chosen(sign_in: SignIn) -> None:
    client = sign_in("olga")
    page = client.post("/account/language", data={"language": "es"}, follow_redirects=True)
    assert "A partir de ahora las páginas están en este idioma." in page.text
    assert '<option value="es" lang="es" selected>Español</option>' in page.text


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("code", ["fr", "ES", "es/../../en", "\x00"])
def test_a_language_that_there_is_not_is_refused_and_nothing_is_stored(
    app: Flask, sign_in: SignIn, cast: Mapping[str, Person], code: str
) -> None:
    assert sign_in("olga").post("/account/language", data={"language": code}).status_code in (400, 422)
    with read_session(app) as session:
        found = account_store.person(session, cast["olga"].id)
        assert found is not None
        assert found.language is None


@pytest.mark.database("sqlite")
def test_only_whoever_has_signed_in_chooses(client: FlaskClient) -> None:
    assert client.post("/account/language", data={"language": "es"}).status_code == 401


@pytest.mark.parametrize("address", PAGES)
def test_every_page_renders_in_spanish(reading_spanish: FlaskClient, planned: Rollout, address: str) -> None:
    answer = reading_spanish.get(address)
    assert answer.status_code == 200
    assert page_language(answer) == ("es", "es")
    text = page_text(answer.text)
    assert "Despliegues" in text
    assert "Cerrar sesión" in text
    assert "%(" not in answer.text


@pytest.mark.database("sqlite")
def test_a_rollout_is_told_in_spanish(reading_spanish: FlaskClient, planned: Rollout) -> None:
    page = page_text(reading_spanish.get(f"/rollouts/{FLAG}").text)
    assert "En curso" in page
    assert "Avanzar a la lista beta" in page
    assert "hace 1 h 5 min" in page
    assert "El tiempo de observación de este paso dura hasta el" in page
    assert "Every gate" not in page


@pytest.mark.database("sqlite")
def test_a_refusal_on_a_form_is_in_the_language_of_the_page(client: FlaskClient, cast: Mapping[str, Person]) -> None:
    answer = client.post("/sign-in", data={"username": "alice", "password": "wrong"}, headers=SPANISH)
    assert answer.status_code == 401
    assert "El usuario o la contraseña no son correctos; vuelva a intentarlo." in answer.text


@pytest.mark.database("sqlite")
def test_a_problem_is_a_page_in_the_readers_language_and_a_document_in_english(client: FlaskClient) -> None:
    page = client.get("/nowhere", headers={**SPANISH, "Accept": "text/html"})
    assert '<html lang="es"' in page.text
    assert "No encontrado" in page.text
    assert "No hay nada en esta dirección; compruébela." in page.text
    document = client.get("/nowhere", headers={**SPANISH, "Accept": "application/json"})
    assert document.json is not None
    assert document.get_json()["title"] == "Not Found"


@pytest.mark.database("sqlite")
def test_a_form_whose_page_was_reloaded_says_so_in_the_language_of_the_page(reading_spanish: FlaskClient) -> None:
    page = reading_spanish.get("/account/second-factor/begin", headers={"Accept": "text/html"})
    assert page.status_code == 405
    assert "Esta dirección no se puede abrir así; abra la página anterior y empiece de nuevo." in page.text


@pytest.mark.database("sqlite")
def test_live_parts_come_to_each_reader_in_their_language(
    sign_in: SignIn, planned: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both see the same address in the same role within the time for which a rendered page is shared."""
    monkeypatch.setattr(live_pages, "TICK_SECONDS", 60)
    client, address = sign_in("alice"), f"/live/rollouts/{FLAG}"
    for headers, words_of_it in [(SPANISH, "Siguiente paso"), ({}, "Next step"), (SPANISH, "Siguiente paso")]:
        with client.get(address, headers=headers, buffered=False) as stream:
            assert words_of_it in region(stream, "next")


@pytest.mark.database("sqlite")
def test_an_open_page_follows_the_language_that_its_reader_chooses_elsewhere(
    sign_in: SignIn, planned: Rollout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_pages, "TICK_SECONDS", 0.01)
    here, there = sign_in("alice"), sign_in("alice")
    with here.get(f"/live/rollouts/{FLAG}", buffered=False) as stream:
        chunks = (chunk.decode() for chunk in stream.iter_encoded())
        assert "gates is closed" in regions(chunks)["state"]
        there.post("/account/language", data={"language": "es"})
        assert "puertas está cerrada" in next(sent for _ in range(100) if (sent := regions(chunks)))["state"]


def region(answer: Response, name: str) -> str:
    """Return the HTML of one region, of the first that a stream sends."""
    return regions(chunk.decode() for chunk in answer.iter_encoded())[name]


def regions(chunks: Iterator[str]) -> Mapping[str, str]:
    """Return the HTML of the regions that a stream sends next, at one moment."""
    events = takewhile(lambda text: not text.startswith("event: asof"), chunks)
    sent = [json.loads(text.partition("data: ")[2]) for text in events if text.startswith("event: region")]
    return {str(each["id"]): str(each["html"]) for each in sent}


@pytest.mark.database("sqlite")
def test_a_language_is_left_behind_by_no_request(reading_spanish: FlaskClient) -> None:
    reading_spanish.get("/")
    assert language.language() == "en"


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("hostile", ["<img src onerror=alert(1)>", "100 % %(user)s %s {{ 7 * 7 }} {0}", '" onfocus="x'])
def test_what_people_write_stands_in_a_spanish_sentence_as_it_was_written(
    app: Flask, reading_spanish: FlaskClient, planned: Rollout, hostile: str
) -> None:
    with write_session(app) as session:
        rollouts.hold(session, FLAG, ChangeContext(clock.now(), hostile, hostile))
    asked = [
        *("/", f"/rollouts/{FLAG}", f"/rollouts/{FLAG}/rollback", "/audit", "/system"),
        *(f"{path}={quote(hostile)}" for path in ("/?q", "/explain?user", "/credits?user", "/users?q", "/audit?actor")),
        *(f"{path}/{quote(hostile, safe='')}" for path in ("/rollouts", "/flag", "/alerts")),
    ]
    pages = {path: reading_spanish.get(path, headers={"Accept": "text/html"}) for path in asked}
    assert {path for path, page in pages.items() if page.status_code not in (200, 404)} == set()
    assert [path for path, page in pages.items() if "<img src" in page.text or 'onfocus="x' in page.text] == []
    assert hostile in unescape(pages[f"/rollouts/{FLAG}"].text)
