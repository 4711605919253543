"""The primary dies and a synchronous replica is promoted: nothing that was acknowledged is lost, and callers go on."""

import time
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from control_plane.platform.settings import Settings
from tests.applications import application
from tests.faults.patroni import cluster, wait_for
from tests.faults.replication import replicated
from tests.faults.test_credits_killed import CreditClients, assert_nothing_lost, prepared
from tests.serving import serving

pytestmark = pytest.mark.faults

AWAY_SECONDS = 2.0
"""Without a primary: as long as it takes to notice and decide."""


def wait_for_an_answer(clients: CreditClients) -> float:
    """Return once another operation is answered; the seconds that it took."""
    known, began = len(clients.answered), time.monotonic()
    while len(clients.answered) == known:
        time.sleep(0.01)
    return time.monotonic() - began


def test_a_promoted_replica_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    with replicated() as pair:
        settings = Settings(database_url=pair.url, instance_dir=tmp_path, secret_key="-", background=False)
        with application(settings) as app:
            token = prepared(app)
        with serving(tmp_path, DATABASE_URL=pair.url) as served:
            clients = CreditClients(served.url, token)
            with clients:
                clients.wait_for_more()
                with psycopg.connect(pair.primary.url) as owner:
                    states = owner.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
                assert states == [("sync",)]
                pair.primary.kill()
                time.sleep(AWAY_SECONDS)
                began = time.monotonic()
                pair.promote()
                wait_for_an_answer(clients)
                print(f"answered again {time.monotonic() - began:.2f} s after the promotion began")  # noqa: T201
                clients.wait_for_more()
        with application(replace(settings, database_url=pair.replica_url)) as app:
            assert_nothing_lost(app, clients)


def test_under_patroni_a_dead_primary_is_replaced_and_comes_back_as_a_replica(tmp_path: Path) -> None:
    """Nobody promotes anything here: Patroni of Debian sees the primary's silence, and its replica takes over."""
    with cluster() as patroni:
        dead, heir = patroni.nodes
        settings = Settings(database_url=patroni.url, instance_dir=tmp_path, secret_key="-", background=False)
        with application(settings) as app:
            token = prepared(app)
        with serving(tmp_path, DATABASE_URL=patroni.url) as served:
            clients = CreditClients(served.url, token)
            with clients:
                clients.wait_for_more()
                patroni.wait_until_whole(dead)
                dead.kill()
                died = time.monotonic()
                wait_for(lambda: not heir.is_replica(), patroni)
                promoted_seconds = time.monotonic() - died
                answered_seconds = wait_for_an_answer(clients)
                print(f"promoted after {promoted_seconds:.2f} s, answered {answered_seconds:.2f} s later")  # noqa: T201
                clients.wait_for_more()
                dead.start()
                patroni.wait_until_whole(heir)
                assert dead.is_replica()
                clients.wait_for_more()
        with application(replace(settings, database_url=f"postgresql+psycopg{heir.url[len('postgresql') :]}")) as app:
            assert_nothing_lost(app, clients)
