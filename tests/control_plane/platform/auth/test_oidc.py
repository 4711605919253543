"""Sign-in by a real identity provider: who they are is its word, what they may follows from their groups."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform import group_roles
from control_plane.platform.auth import accounts, audit, tokens
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.identity_types import Grant, Person, Role
from control_plane.platform.settings import Settings
from tests import identity_provider
from tests.applications import application
from tests.dashboards.browsing import page_text
from tests.identity_provider import CALLBACK, SECRET, IdentityProvider

pytestmark = pytest.mark.database("sqlite")

HTML = {"Accept": "text/html"}
ROLES = ("leads=owner", "staff=viewer", "checkout=operator:checkout_v2:production", "root=admin")


@pytest.fixture(scope="module")
def provider() -> Iterator[IdentityProvider]:
    with identity_provider.running() as provider:
        yield provider


@pytest.fixture
def with_provider(settings: Settings, provider: IdentityProvider) -> Settings:
    return replace(
        settings,
        oidc_issuer=provider.issuer,
        oidc_client_id="rollout",
        oidc_client_secret=SECRET,
        oidc_roles=group_roles.parse(ROLES),
    )


@pytest.fixture
def app(with_provider: Settings) -> Iterator[Flask]:
    with application(with_provider) as app:
        yield app


def sign_in(client: FlaskClient, provider: IdentityProvider, name: str, wanted: str = "/audit") -> tuple[int, str, str]:
    """Go the whole way; the status, the address and the words of the last answer."""
    sent = client.get(f"/sign-in/provider?next={wanted}")
    back = provider.sign_in(sent.location, name)
    answer = client.get(back.removeprefix("http://localhost"))
    return answer.status_code, answer.location or "", page_text(answer.get_data(as_text=True))


def person(app: Flask, name: str) -> Person:
    with app.app_context(), read_only() as session:
        return next(each for each in accounts.list_people(session) if each.username == name)


def test_whoever_the_provider_proves_is_signed_in_with_what_their_groups_give(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    assert sign_in(client, provider, "nina:staff+checkout+choir")[:2] == (303, "/audit")
    assert client.get("/audit").status_code == 200
    nina = person(app, "nina")
    assert nina.role is Role.VIEWER
    assert nina.grants == (Grant(Role.OPERATOR, "checkout_v2", "production"),)
    assert nina.identity == f"{provider.issuer} nina"
    with app.app_context(), read_only() as session:
        newest = audit.latest(session, subject="person:nina")
    assert newest[0].after == {"address": "127.0.0.1", "method": "identity provider"}


def test_groups_count_anew_at_each_sign_in(app: Flask, client: FlaskClient, provider: IdentityProvider) -> None:
    sign_in(client, provider, "nina:staff+checkout")
    first = person(app, "nina")
    sign_in(app.test_client(), provider, "nina:leads")
    again = person(app, "nina")
    assert (again.id, again.role, again.grants) == (first.id, Role.OWNER, ())
    assert client.get("/audit", headers=HTML).status_code == 303, "sessions with what they had before are over"


def test_whoever_is_in_no_group_that_counts_is_refused(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    status, _, page = sign_in(client, provider, "mallory:choir")
    assert status == 403
    assert "None of your groups may do anything here" in page
    with app.app_context(), read_only() as session:
        assert accounts.list_people(session) == []


def test_whoever_is_in_no_group_any_more_keeps_nothing(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    for name in ("rita:root", "nina:root+checkout"):
        sign_in(client, provider, name)
    now = datetime.now(UTC)
    with app.app_context(), transaction() as session:
        text = tokens.create_token(session, tokens.NewToken("ninas", "admin", environment="*"), now=now, actor="nina")
    assert sign_in(app.test_client(), provider, "nina:choir")[0] == 403
    assert client.get("/audit", headers=HTML).status_code == 303
    assert app.test_client().get("/api/people", headers={"Authorization": text}).status_code == 401
    assert (person(app, "nina").role, person(app, "nina").grants) == (Role.VIEWER, ())
    assert sign_in(client, provider, "nina:root")[0] == 303


def test_the_account_of_somebody_else_with_that_name_stays_theirs(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    now = datetime.now(UTC)
    with app.app_context(), transaction() as session:
        accounts.create_person(session, "nina", password="four words nobody says", role="viewer", now=now)
    status, _, page = sign_in(client, provider, "nina:root")
    assert status == 409
    assert "Somebody else has the account nina" in page
    assert person(app, "nina").role is Role.VIEWER


def test_somebody_who_was_provisioned_is_who_was_meant(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    with app.app_context(), transaction() as session:
        made = accounts.create_person(session, "nina", password=None, role="viewer", now=datetime.now(UTC))
    assert sign_in(client, provider, "nina:leads")[0] == 303
    assert (person(app, "nina").id, person(app, "nina").role) == (made.id, Role.OWNER)


def test_whoever_was_locked_out_here_stays_out(app: Flask, client: FlaskClient, provider: IdentityProvider) -> None:
    sign_in(client, provider, "nina:staff")
    with app.app_context(), transaction() as session:
        nina = next(each for each in accounts.list_people(session) if each.username == "nina")
        accounts.disable_person(session, nina.id, now=datetime.now(UTC), actor="alice")
    assert sign_in(client, provider, "nina:staff")[0] == 403
    assert client.get("/audit", headers=HTML).status_code == 303


def test_the_request_carries_state_nonce_and_a_challenge(client: FlaskClient) -> None:
    first, second = (parse_qs(urlsplit(client.get("/sign-in/provider").location).query) for _ in range(2))
    assert first["code_challenge_method"] == ["S256"]
    assert first["redirect_uri"] == [CALLBACK]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 20
        assert first[name] != second[name]


def test_an_answer_that_was_meant_for_another_browser_opens_nothing(
    app: Flask, client: FlaskClient, provider: IdentityProvider
) -> None:
    back = provider.sign_in(client.get("/sign-in/provider").location, "mallory:root").removeprefix("http://localhost")
    victim = app.test_client()
    assert victim.get(back).status_code == 401
    victim.get("/sign-in/provider")
    assert victim.get(back).status_code == 401
    assert victim.get("/audit", headers=HTML).status_code == 303
    assert client.get(back).status_code == 303
    assert app.test_client().get(back).status_code == 401, "nor does it count twice"


@pytest.mark.parametrize("query", ["", "?error=access_denied", "?code=x&state=y", "?code=x"])
def test_an_answer_that_proves_nothing_opens_nothing(client: FlaskClient, query: str) -> None:
    client.get("/sign-in/provider")
    answer = client.get(f"/sign-in/provider/done{query}")
    assert answer.status_code == 401
    assert "did not prove who you are" in page_text(answer.get_data(as_text=True))


def test_signing_out_offers_to_leave_the_provider_too(client: FlaskClient, provider: IdentityProvider) -> None:
    sign_in(client, provider, "nina:staff")
    left = client.post("/sign-out")
    page = client.get(left.location).get_data(as_text=True)
    assert "sign out there too" in page_text(page)
    target = client.get("/sign-out/provider").location
    assert target.startswith(f"{provider.issuer}/session/end?client_id=rollout&post_logout_redirect_uri=")


def test_while_the_provider_is_away_local_accounts_still_sign_in(with_provider: Settings) -> None:
    with application(replace(with_provider, oidc_issuer="http://127.0.0.1:9")) as app:
        with app.app_context(), transaction() as session:
            password = accounts.add_person(session, "owner", "admin", now=datetime.now(UTC))
        client = app.test_client()
        answer = client.get("/sign-in/provider", headers=HTML)
        assert answer.status_code == 503
        assert "sign in with a password" in page_text(answer.get_data(as_text=True))
        assert client.post("/sign-in", data={"username": "owner", "password": password}).status_code == 303


def test_without_a_provider_none_is_offered(settings: Settings) -> None:
    with application(settings) as app:
        client = app.test_client()
        assert "identity provider" not in client.get("/sign-in").get_data(as_text=True)
        assert client.get("/sign-in/provider", headers=HTML).status_code == 404
