"""Services with tokens, what comes before any view, and what every answer carries."""

from datetime import datetime

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError

from control_plane.platform.auth import account_store, authorization, rate_limit
from control_plane.platform.auth.page_addresses import local_path
from control_plane.platform.auth.tokens import list_tokens, revoke_token
from control_plane.platform.db.database import transaction
from tests.control_plane.platform import endpoints
from tests.control_plane.platform.endpoints import BROWSER, PASSWORD, code, enter, with_token

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def routes(app: Flask) -> None:
    endpoints.build(app)


def test_a_token_opens_the_doors_of_its_type(client: FlaskClient, tokens: dict[str, str]) -> None:
    opened = {kind: client.get("/api/test/service", headers=with_token(text)) for kind, text in tokens.items()}
    assert {kind: response.status_code for kind, response in opened.items()} == {
        "client": 403,
        "frontend": 403,
        "admin": 200,
        "service": 200,
    }
    assert opened["service"].get_json() == {"token": "service", "actor": "token:service"}
    assert code(opened["client"]) == "WRONG_TOKEN_TYPE"
    assert "admin or service" in opened["client"].text


def test_an_admin_token_acts_as_owner_and_no_other_token_has_a_role(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    statuses = {
        kind: client.get("/api/test/owner", headers=with_token(text)).status_code for kind, text in tokens.items()
    }
    assert statuses == {"client": 403, "frontend": 403, "admin": 200, "service": 403}


@pytest.mark.parametrize("form", ["{}", "Bearer {}", "bearer {}", "  {}  "])
def test_a_token_is_taken_raw_or_as_bearer(client: FlaskClient, tokens: dict[str, str], form: str) -> None:
    response = client.get("/api/test/sdk", headers=with_token(form.format(tokens["client"])))
    assert response.status_code == 200


def test_a_token_is_taken_from_the_header_that_openfeature_providers_use(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    assert client.get("/api/test/sdk", headers={"X-API-Key": tokens["client"]}).status_code == 200


def test_unleash_sdks_are_refused_in_the_words_they_know(client: FlaskClient, tokens: dict[str, str]) -> None:
    missing = {
        "message": "This endpoint requires an API token. "
        "Please add an authorization header to your request with a valid token"
    }
    for headers in ({}, with_token("nonsense"), with_token(tokens["client"][:-1])):
        response = client.get("/api/test/sdk", headers=headers)
        assert (response.status_code, response.get_json()) == (401, missing)
    response = client.get("/api/test/sdk", headers=with_token(tokens["admin"]))
    assert response.status_code == 403
    assert response.get_json() == {"message": "invalid token: expected a different token type for this endpoint"}


@pytest.mark.parametrize(
    "header", ["", " ", "Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer a.b.c", "Token x y", "*:production.v2_é"]
)
def test_whatever_stands_in_the_header_is_answered_401(client: FlaskClient, header: str) -> None:
    response = client.get("/api/test/service", headers={"Authorization": header})
    assert response.status_code == 401
    assert code(response) == "UNAUTHENTICATED"


def test_a_revoked_token_is_told_so(app: Flask, client: FlaskClient, tokens: dict[str, str], now: datetime) -> None:
    assert client.get("/api/test/service", headers=with_token(tokens["service"])).status_code == 200
    with app.app_context(), transaction() as session:
        service = next(each for each in list_tokens(session) if each.name == "service")
        revoke_token(session, service.id, now=now, actor="alice")
    response = client.get("/api/test/service", headers=with_token(tokens["service"]))
    assert response.status_code == 401
    assert "revoked" in response.text


def test_a_wrong_token_never_falls_back_to_the_cookie(
    client: FlaskClient, people: dict[str, int], tokens: dict[str, str]
) -> None:
    enter(client, "alice")
    assert client.get("/api/test/owner", headers=with_token("nonsense")).status_code == 401
    assert client.get("/api/test/owner", headers=with_token(tokens["client"])).status_code == 403


def test_a_person_is_no_token(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "alice")
    assert client.get("/api/test/service").status_code == 401


def test_wrong_tokens_are_limited_and_right_ones_are_not(client: FlaskClient, tokens: dict[str, str]) -> None:
    for _ in range(rate_limit.TOKEN.amount):
        assert client.get("/api/test/service", headers=with_token("nonsense")).status_code == 401
    refusal = client.get("/api/test/service", headers=with_token("nonsense"))
    assert (refusal.status_code, code(refusal)) == (429, "TOO_MANY_FAILURES")
    assert client.get("/api/test/service", headers=with_token(tokens["service"])).status_code == 200


def test_an_outage_of_the_database_is_503_for_people_and_new_tokens_and_nothing_for_known_ones(
    client: FlaskClient, people: dict[str, int], tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(client, "alice")
    known, new = with_token(tokens["service"]), with_token(tokens["client"])
    assert client.get("/api/test/service", headers=known).status_code == 200

    def fail(*_: object) -> None:
        raise OperationalError("SELECT", {}, Exception("server closed the connection"))

    monkeypatch.setattr(account_store, "tokens_by_selector", fail)
    monkeypatch.setattr(account_store, "person_of_session", fail)
    assert client.get("/api/test/service", headers=known).status_code == 200
    for response in (client.get("/api/test/sdk", headers=new), client.get("/api/test/viewer")):
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1


def test_no_view_asks_for_a_token_it_did_not_require(app: Flask) -> None:
    with app.test_request_context("/api/test/open"), pytest.raises(LookupError, match="require_token"):
        authorization.token()


def test_another_site_cannot_use_a_signed_in_browser(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "alice")
    ours = client.post("/api/test/owner", headers={"Sec-Fetch-Site": "same-origin"})
    theirs = client.post("/api/test/owner", headers={"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"})
    assert ours.status_code == 200
    assert theirs.status_code == 403
    assert code(theirs) == "CROSS_ORIGIN"


def test_another_site_cannot_sign_its_own_account_in(client: FlaskClient, people: dict[str, int]) -> None:
    response = client.post(
        "/door", data={"username": "alice", "password": PASSWORD}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert response.status_code == 403


def test_another_site_may_read_what_is_safe_and_call_with_a_token(client: FlaskClient, tokens: dict[str, str]) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://shop.example"}
    assert client.get("/api/test/open", headers=foreign).status_code == 200
    called = client.post("/api/test/service", headers=foreign | with_token(tokens["service"]))
    assert called.status_code == 200


def test_a_proxys_basic_credentials_do_not_open_the_way_for_another_site(
    client: FlaskClient, people: dict[str, int]
) -> None:
    enter(client, "alice")
    headers = {"Sec-Fetch-Site": "cross-site", "Authorization": "Basic dXNlcjpwYXNz"}
    assert client.post("/api/test/owner", headers=headers).status_code == 403


@pytest.mark.parametrize("path", ["/api/test/open?name=a%00b", "/api/test/%00"])
def test_a_nul_in_the_address_is_refused(client: FlaskClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, code(response)) == (400, "INVALID_CHARACTER")


def test_a_body_beyond_the_limit_is_refused(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/api/test/read", endpoint="read", view_func=lambda: {"read": request.json}, methods=["POST"])
    body = b'"' + b"x" * authorization.BODY_BYTES_MAX + b'"'
    response = client.post("/api/test/read", data=body, content_type="application/json")
    assert (response.status_code, code(response)) == (413, "CONTENT_TOO_LARGE")


def test_a_page_keeps_to_itself(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "alice")
    headers = client.get("/html", headers=BROWSER).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_a_problem_page_keeps_to_itself_too(client: FlaskClient) -> None:
    response = client.get("/nothing-here", headers=BROWSER)
    assert response.mimetype == "text/html"
    assert "Content-Security-Policy" in response.headers


def test_a_view_may_set_its_own_headers(app: Flask, client: FlaskClient) -> None:
    app.add_url_rule("/own", view_func=lambda: ("x", {"Content-Security-Policy": "default-src 'self'"}))
    assert client.get("/own").headers["Content-Security-Policy"] == "default-src 'self'"


def test_json_for_programs_is_not_sniffed_and_may_be_cached_as_the_view_says(
    client: FlaskClient, tokens: dict[str, str]
) -> None:
    headers = client.get("/api/test/service", headers=with_token(tokens["service"])).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Cache-Control" not in headers
    assert "Set-Cookie" not in headers


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "",
        None,
        "page",
        "/a\nb",
        "/\t/evil",
    ],
)
def test_signing_in_leads_to_no_other_site(target: str | None) -> None:
    assert local_path(target) == "/"


@pytest.mark.parametrize("target", ["/", "/rollouts/ENABLE_CREDITS_V2?tab=audit#top"])
def test_signing_in_leads_back_to_the_page_asked_for(target: str) -> None:
    assert local_path(target) == target
