"""A trail that was cut off, emptied or computed anew fits itself, and is found all the same."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

import pytest
from flask import Flask
from sqlalchemy import text
from structlog.testing import capture_logs

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit, audit_anchors, audit_head
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.settings import SETTINGS
from tests import tampering


@pytest.fixture(autouse=True)
def trail(app: Flask, now: datetime) -> Iterator[None]:
    """Six entries, and nobody in the way of changing them."""
    with app.app_context():
        write(now, 6)
        tampering.allow()
        yield


def write(now: datetime, entries: int = 1) -> None:
    for number in range(entries):
        with transaction() as session:
            audit.record(session, ChangeContext(now, "alice", f"Entry {number}."), action="test", subject="x")


def verified() -> audit.Verification:
    with read_only() as session:
        return audit.verify(session)


def holds(anchor: str) -> bool:
    with read_only() as session:
        return not audit.verify(session, [audit_anchors.parse(anchor)]).anchors_lost


def run(statement: str) -> None:
    with transaction() as session:
        session.execute(text(statement))


def empty() -> None:
    run("DELETE FROM audit_entry")


def cut_off_and_rewrite_head() -> None:
    tampering.cut_off(2)
    end = verified().end
    tampering.rewrite_head(entries=end.entries, last_id=end.last_id, last_hash=end.last_hash)


def cut_off_and_remove_seal() -> None:
    cut_off_and_rewrite_head()
    tampering.rewrite_head(seal="")


def cut_off_and_remove_head() -> None:
    tampering.cut_off(2)
    tampering.remove_head()


def change_and_recompute() -> None:
    run("UPDATE audit_entry SET actor = 'mallory' WHERE id = 3")
    tampering.recompute()


def shift() -> None:
    run("UPDATE audit_entry SET id = id + 1000")


ATTACKS = [
    lambda: tampering.cut_off(2),
    empty,
    change_and_recompute,
    shift,
    cut_off_and_rewrite_head,
    cut_off_and_remove_head,
    cut_off_and_remove_seal,
]


def test_an_untouched_trail_is_whole() -> None:
    assert verified().intact
    assert holds(verified().end.anchor)


@pytest.mark.parametrize("attack", ATTACKS)
def test_each_is_found(attack: Callable[[], None]) -> None:
    attack()
    assert verified().first_broken is None, "the chain itself fits"
    assert not verified().intact


@pytest.mark.parametrize("attack", ATTACKS[:-1])
def test_and_is_still_found_after_the_next_entries(attack: Callable[[], None], now: datetime) -> None:
    attack()
    write(now, 3)
    assert not verified().intact


def test_an_anchor_kept_elsewhere_finds_even_a_trail_whose_seal_was_made_anew(now: datetime) -> None:
    anchor = verified().end.anchor
    cut_off_and_remove_seal()
    write(now)
    assert verified().intact, "in the database there is nothing left that tells"
    with read_only() as session:
        assert audit_head.sealed_from(session) > 1, "but that the seal is younger than the trail"
    assert not holds(anchor)


def test_an_anchor_holds_while_the_trail_grows(now: datetime) -> None:
    anchor = verified().end.anchor
    write(now, 3)
    assert holds(anchor)
    with pytest.raises(audit_anchors.AnchorError):
        holds("nonsense")


def test_another_key_is_noticed_and_an_owner_can_seal_anew(app: Flask, now: datetime) -> None:
    settings = SETTINGS.get(app)
    SETTINGS.set(app, replace(settings, secret_key="another"))
    assert "SECRET_KEY" in verified().problem
    with capture_logs() as said:
        write(now)
        write(now)
    assert [each["event"] for each in said] == ["audit.sealed_with_another_key"], "whoever writes so is told, once"
    assert not verified().intact
    with transaction() as session:
        audit.accept_trail(session, now=now, actor="alice", reason="The key was changed.")
    assert verified().intact
    with read_only() as session:
        assert audit.latest(session)[0].action == "audit.seal"
