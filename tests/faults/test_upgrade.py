"""A newer version brings the schema up while two servers of this one answer: no request fails, every book is whole."""

from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask

from tests.faults.ledger import assert_whole
from tests.faults.next_version import upgrade_to_next_version
from tests.faults.test_credits_killed import CreditClients, prepared
from tests.installation import Installation
from tests.serving import serving

pytestmark = pytest.mark.faults

WAYS = (("consume",), ("reserve", "commit"))


@pytest.mark.database("postgresql")
def test_two_servers_answer_while_a_newer_version_upgrades(app: Flask, database_url: str, tmp_path: Path) -> None:
    Installation(app).plan()
    token = prepared(app)
    with ExitStack() as servers:
        groups = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            served = servers.enter_context(serving(tmp_path / name, DATABASE_URL=database_url))
            groups.append(CreditClients(served.url, token, WAYS))
        with ExitStack() as load:
            for clients in groups:
                load.enter_context(clients)
                clients.wait_for_more()
            with app.app_context():
                upgrade_to_next_version(tmp_path)
            for clients in groups:
                clients.wait_for_more()
    assert [each for clients in groups for each in clients.failures] == []
    charged = {row["operation_key"] for row in assert_whole(app) if row["charged"]["analysis"]}
    assert charged == {key for clients in groups for key in clients.answered}
