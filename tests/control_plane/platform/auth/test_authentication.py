"""People who sign in: what opens to them, what strangers are told, and when it ends."""

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.auth import account_store, accounts, rate_limit
from control_plane.platform.auth.own_sessions import SESSION_LIFETIME
from control_plane.platform.db.database import transaction
from control_plane.platform.settings import SETTINGS
from tests.control_plane.platform import endpoints
from tests.control_plane.platform.endpoints import BROWSER, PASSWORD, code, enter

pytestmark = pytest.mark.database("sqlite")


@pytest.fixture(autouse=True)
def routes(app: Flask) -> None:
    endpoints.build(app)


@pytest.mark.parametrize(
    ("username", "opens"),
    [("alice", [200, 200, 200]), ("bob", [200, 200, 403]), ("carol", [200, 403, 403])],
)
def test_a_role_opens_what_it_covers(
    client: FlaskClient, people: dict[str, int], username: str, opens: list[int]
) -> None:
    enter(client, username)
    statuses = [client.get(f"/api/test/{role}").status_code for role in ("viewer", "operator", "owner")]
    assert statuses == opens


def test_a_refusal_says_which_role_is_needed_and_which_is_held(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "carol")
    refusal = client.get("/api/test/owner")
    assert code(refusal) == "ROLE_REQUIRED"
    assert "owner" in refusal.text
    assert "carol is viewer" in refusal.text


def test_the_actor_is_the_person_who_signed_in(client: FlaskClient, people: dict[str, int]) -> None:
    assert client.get("/api/test/open").get_json() == {"actor": "anonymous", "person": False}
    enter(client, "bob")
    assert client.get("/api/test/open").get_json() == {"actor": "bob", "person": True}


def test_a_stranger_in_a_browser_is_sent_to_sign_in_and_back(client: FlaskClient) -> None:
    response = client.get("/page?step=2&name=a%26b", headers=BROWSER)
    assert response.status_code == 303
    assert response.location == "/sign-in?next=%2Fpage%3Fstep%3D2%26name%3Da%2526b"


@pytest.mark.parametrize(
    ("referrer", "target"),
    [
        ("http://localhost/page?step=2", "%2Fpage%3Fstep%3D2"),
        ("http://localhost/nowhere", "%2F"),
        ("https://elsewhere.example/page", "%2Fpage"),
        ("", "%2F"),
    ],
)
def test_a_form_of_a_stranger_is_not_sent_again_and_leads_back_to_its_page(
    client: FlaskClient, referrer: str, target: str
) -> None:
    response = client.post("/page", headers=BROWSER | {"Referer": referrer})
    assert (response.status_code, response.location) == (303, f"/sign-in?next={target}&unsent=form")


def test_a_stranger_at_the_api_gets_401(client: FlaskClient) -> None:
    response = client.get("/api/test/viewer", headers=BROWSER)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert code(response) == "UNAUTHENTICATED"


def test_a_wrong_password_and_a_stranger_are_told_the_same(client: FlaskClient, people: dict[str, int]) -> None:
    wrong, stranger = (enter(client, name, "nonsense") for name in ("alice", "nobody"))
    assert wrong.status_code == stranger.status_code == 401
    assert "username or the password is wrong" in wrong.text
    assert "rollout_session" not in wrong.headers.get("Set-Cookie", "")


def test_the_cookie_is_for_us_alone(client: FlaskClient, people: dict[str, int]) -> None:
    cookie = enter(client, "alice").headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie


def test_the_cookie_is_secure_where_the_connection_is(app: Flask, people: dict[str, int]) -> None:
    response = app.test_client().post(
        "/door", data={"username": "alice", "password": PASSWORD}, base_url="https://rollout.example"
    )
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-rollout_session=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert "Domain" not in cookie
    assert response.headers["Strict-Transport-Security"] == "max-age=31536000"


def test_over_plain_http_nothing_is_promised_about_https(client: FlaskClient) -> None:
    assert "Strict-Transport-Security" not in client.get("/page", headers=BROWSER).headers


def test_a_cookie_of_plain_http_opens_nothing_over_https(app: Flask, people: dict[str, int]) -> None:
    client = app.test_client()
    enter(client, "alice")
    kept = client.get_cookie("rollout_session")
    assert kept is not None
    headers = {"Cookie": f"rollout_session={kept.value}"}
    answer = app.test_client().get("/api/test/viewer", base_url="https://rollout.example", headers=headers)
    assert answer.status_code == 401


def test_signing_in_starts_a_session_with_nothing_of_the_one_before(
    client: FlaskClient, people: dict[str, int]
) -> None:
    with client.session_transaction() as session:
        session["planted"] = "by somebody else"
    enter(client, "alice")
    with client.session_transaction() as session:
        assert "planted" not in session


def test_nobody_inherits_the_caller_of_the_request_before(app: Flask, people: dict[str, int]) -> None:
    with app.app_context():
        alice, stranger = app.test_client(), app.test_client()
        enter(alice, "alice")
        assert alice.get("/api/test/owner").status_code == 200
        assert stranger.get("/api/test/owner").status_code == 401


def test_signing_out_ends_the_session(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "alice")
    client.post("/leave", headers=BROWSER)
    assert client.get("/api/test/viewer").status_code == 401


def test_a_cookie_kept_from_before_signing_out_opens_nothing(
    app: Flask, client: FlaskClient, people: dict[str, int]
) -> None:
    enter(client, "alice")
    kept, elsewhere = client.get_cookie("rollout_session"), app.test_client()
    assert kept is not None
    enter(elsewhere, "alice")
    client.post("/leave", headers=BROWSER)
    client.set_cookie("rollout_session", kept.value)
    assert client.get("/api/test/viewer").status_code == 401
    assert elsewhere.get("/api/test/viewer").status_code == 200


def test_a_session_that_nobody_uses_ends_and_one_in_use_goes_on(
    app: Flask, client: FlaskClient, people: dict[str, int]
) -> None:
    idle_seconds = SETTINGS.get(app).session_idle_minutes * 60
    enter(client, "alice")
    for past, opens in ((idle_seconds - 60, 200), (idle_seconds - 60, 200), (idle_seconds + 1, 401)):
        with client.session_transaction() as session:
            session["seen_at"] -= past
        assert client.get("/api/test/viewer").status_code == opens


def test_sessions_that_are_too_old_are_forgotten(
    app: Flask, client: FlaskClient, people: dict[str, int], now: datetime
) -> None:
    with app.app_context(), transaction() as session:
        alice = account_store.person(session, people["alice"])
        assert alice is not None
        old = accounts.begin_session(session, alice, now=now, lifetime=SESSION_LIFETIME, address="::1", browser="")
        accounts.begin_session(
            session, alice, now=now + 2 * SESSION_LIFETIME, lifetime=SESSION_LIFETIME, address="::1", browser=""
        )
        assert accounts.person_of_session(session, old) is None


def test_one_account_has_to_wait_wherever_the_guesses_come_from(
    app: Flask, client: FlaskClient, people: dict[str, int]
) -> None:
    for number in range(rate_limit.ACCOUNT.amount):
        client.environ_base["REMOTE_ADDR"] = f"10.0.0.{number}"
        assert enter(client, " ALICE" if number % 2 else "alice", "nonsense").status_code == 401
    client.environ_base["REMOTE_ADDR"] = "10.0.1.1"
    assert enter(client, "alice").status_code == 429
    assert enter(client, "bob").status_code == 303


@pytest.mark.parametrize("change", ["password", "role", "disable", "end_sessions"])
def test_a_change_of_the_person_ends_their_session_at_once(
    app: Flask, client: FlaskClient, people: dict[str, int], now: datetime, change: str
) -> None:
    enter(client, "bob")
    assert client.get("/api/test/viewer").status_code == 200
    with app.app_context(), transaction() as session:
        match change:
            case "password":
                accounts.change_password(session, people["bob"], password="another horse", now=now, actor="alice")
            case "role":
                accounts.change_role(session, people["bob"], role="owner", now=now, actor="alice")
            case "disable":
                accounts.disable_person(session, people["bob"], now=now, actor="alice")
            case _:
                accounts.end_sessions(session, people["bob"], now=now, actor="alice")
    assert client.get("/api/test/viewer").status_code == 401


def test_a_session_ends_after_half_a_day_however_busy_it_was(client: FlaskClient, people: dict[str, int]) -> None:
    enter(client, "alice")
    with client.session_transaction() as session:
        session["signed_in_at"] = (datetime.now(UTC) - SESSION_LIFETIME - timedelta(seconds=1)).timestamp()
    assert client.get("/api/test/viewer").status_code == 401


@pytest.mark.parametrize("forged", [{"person": 1}, {"person": 1, "version": 1}, {"person": 99, "version": 1}])
def test_a_session_that_is_not_whole_opens_nothing(
    client: FlaskClient, people: dict[str, int], forged: dict[str, int]
) -> None:
    with client.session_transaction() as session:
        session.update(forged)
    assert client.get("/api/test/viewer").status_code == 401


def test_a_cookie_we_did_not_sign_opens_nothing(client: FlaskClient, people: dict[str, int]) -> None:
    client.set_cookie("rollout_session", "eyJwZXJzb24iOjF9.aaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbb")
    assert client.get("/api/test/viewer").status_code == 401


def test_after_ten_wrong_passwords_an_address_has_to_wait_even_with_the_right_one(
    client: FlaskClient, people: dict[str, int]
) -> None:
    statuses = [enter(client, "alice", "nonsense").status_code for _ in range(rate_limit.SIGN_IN.amount)]
    assert set(statuses) == {401}
    waiting = enter(client, "alice")
    assert waiting.status_code == 429
    assert int(waiting.headers["Retry-After"]) >= 1


def test_signing_in_rightly_is_never_limited(client: FlaskClient, people: dict[str, int]) -> None:
    assert {enter(client, "alice").status_code for _ in range(rate_limit.SIGN_IN.amount + 5)} == {303}
