"""Operations of members who join, leave and are erased: each charged once, and nobody named afterwards."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import organisations
from credits_engine.administration.organisations import LEAD
from credits_engine.amount_types import summed
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.erasure import service as erasure
from credits_engine.operations import reservations
from credits_engine.operations.consumption import KeyConflictError, Operation
from credits_engine.operations.execution import run_reservation
from credits_engine.store import members
from tests.credits_engine.organisation import LATER, NOW, WHY, differences, hold, join, leave, take

pytestmark = pytest.mark.usefixtures("acme")


def test_a_retry_gets_its_first_answer_also_after_joining_leaving_and_joining_another() -> None:
    take("ada", "own", NOW, analysis=1)
    join("ada")
    with pytest.raises(KeyConflictError):
        take("ada", "own", analysis=2)
    assert take("ada", "own", analysis=1).replayed
    assert not take("ada", "acme", analysis=2).replayed
    assert hold("ada", "held", analysis=5).granted
    leave("ada", LATER)
    gone = LATER + 2 * LEAD
    with transaction() as session:
        organisations.add(session, "ada", "eve", {}, ChangeContext(gone, "alice", "Hired."))
    organisations.reload(gone)
    for now in (gone, gone + 2 * LEAD):
        answers = [take("ada", key, now, analysis=amount) for key, amount in (("own", 1), ("acme", 2))]
        assert [(each.user_id, each.replayed) for each in answers] == [("ada", True), ("acme", True)]
        operation = Operation("ada", "held", Amounts(analysis=5), "test", EntryType.RESERVE)
        assert run_reservation(operation, ttl=timedelta(minutes=15), now=now).replayed
    assert take("ada", "new", gone + 2 * LEAD, analysis=1).user_id == "eve"
    with transaction() as session:
        reservations.commit(session, "ada", "held", now=gone, actor="test", amounts=Amounts(analysis=3))
    with read_only() as session:
        entries = members.ENTRIES
        query = select(entries.c.account_user_id, summed(entries.c.amounts)).group_by(entries.c.account_user_id)
        assert dict(session.execute(query).all()) == {"acme": Amounts(analysis=5), "eve": Amounts(analysis=1)}
    assert differences() == 0


def test_whoever_is_added_to_two_accounts_at_once_is_a_member_of_one(app: Flask) -> None:
    def one(account: str) -> str:
        try:
            with app.app_context(), transaction() as session:
                organisations.add(session, "nobody", account, {}, WHY)
        except Problem as problem:
            return problem.code
        return "added"

    with ThreadPoolExecutor(4) as pool:
        done = sorted(pool.map(one, ["acme", "ada", "bob", "eve"]))
    assert done == ["OTHER_ACCOUNT"] * 3 + ["added"]


def test_who_is_erased_leaves_the_sums_as_they_were() -> None:
    join("ada")
    take("ada", "k", analysis=4)
    leave("ada", LATER)
    erasure.erase("ada", ChangeContext(LATER + timedelta(hours=1), "alice", "Asked."))
    with read_only() as session:
        (entry,) = session.execute(select(members.ENTRIES))
        assert members.of_account(session, "acme", LATER) == ()  # the seat is free again
    assert (entry.account_user_id, entry.user_id == "ada", entry.amounts) == ("acme", False, Amounts(analysis=4))
    assert differences() == 0


def test_an_account_that_is_erased_is_not_named_by_those_who_were_its_members() -> None:
    join("ada")
    leave("ada", LATER)
    gone = LATER + 2 * LEAD
    with transaction() as session:
        organisations.add(session, "ada", "eve", {}, ChangeContext(gone, "alice", "Hired."))
    erasure.erase("acme", ChangeContext(gone, "alice", "Asked."))
    with read_only() as session:
        member = members.find(session, "ada")
    assert member
    assert (member.account_id, len(member.former_accounts), "acme" in member.former_accounts) == ("eve", 1, False)
