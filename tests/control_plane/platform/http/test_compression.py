"""Pages and lists go out in gzip to those who take it, and are the same then."""

import gzip
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.http.compression import BYTES_MIN

SignIn = Callable[[str], FlaskClient]
PAGE = "/sign-in"
TAKEN = {"Accept-Encoding": "gzip, br"}


@pytest.mark.database("sqlite")
def test_a_page_is_sent_in_gzip(client: FlaskClient) -> None:
    plain, packed = client.get(PAGE), client.get(PAGE, headers=TAKEN)
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(packed.data) == plain.data
    assert len(packed.data) < len(plain.data) / 2
    assert {"Accept-Encoding"} <= set(plain.headers["Vary"].split(", ")) & set(packed.headers["Vary"].split(", "))


@pytest.mark.database("sqlite")
def test_a_static_file_keeps_its_own_tag_and_is_not_sent_again(client: FlaskClient) -> None:
    with client.get("/static/app.css", headers=TAKEN) as first:
        assert first.headers["Content-Encoding"] == "gzip"
    assert first.headers["ETag"].startswith("W/")
    with client.get("/static/app.css", headers=TAKEN | {"If-None-Match": first.headers["ETag"]}) as again:
        assert (again.status_code, again.data) == (304, b"")


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("encoding", ["", "gzip;q=0", "br", "identity"])
def test_who_takes_no_gzip_gets_none(client: FlaskClient, encoding: str) -> None:
    assert "Content-Encoding" not in client.get(PAGE, headers={"Accept-Encoding": encoding}).headers


@pytest.mark.database("sqlite")
def test_what_is_small_or_answers_a_form_goes_as_it_is(app: Flask, client: FlaskClient, sign_in: SignIn) -> None:
    assert "Content-Encoding" not in client.get("/healthz", headers=TAKEN).headers
    form = {"name": "ci", "type": "client", "environment": "production"}
    made = sign_in("alice").post("/tokens", data=form, headers=TAKEN | {"Sec-Fetch-Site": "same-origin"})
    assert made.status_code == 200
    assert len(made.data) > BYTES_MIN
    assert "Content-Encoding" not in made.headers
