"""An address that no row and no key can have is answered like any that leads nowhere, never with an error of ours."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from control_plane.platform.http import url_converters
from control_plane.platform.row_ids import ROW_ID_MAX


def str_of(found: object) -> str:
    return str(found)


@pytest.fixture
def client() -> Iterator[FlaskClient]:
    app = Flask("addresses", static_folder=None)
    url_converters.init_app(app)
    app.add_url_rule("/rows/<int:found>", "row", str_of)
    app.add_url_rule("/keys/<path:found>", "key", str_of)
    with app.test_client() as client:
        yield client


@pytest.mark.parametrize(("row_id", "status"), [(0, 200), (ROW_ID_MAX, 200), (ROW_ID_MAX + 1, 404), (10**30, 404)])
def test_a_number_that_no_row_has_leads_nowhere(client: FlaskClient, row_id: int, status: int) -> None:
    assert client.get(f"/rows/{row_id}").status_code == status


@pytest.mark.parametrize("key", ["a", "a/b", "a\nb", "line\r\nends\n", "\n", "ümläut"])
def test_a_key_holds_any_characters(client: FlaskClient, key: str) -> None:
    assert client.get("/keys/" + "".join(f"%{byte:02X}" for byte in key.encode())).get_data(as_text=True) == key
