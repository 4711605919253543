"""Members of an organisation and the erasure of either: nobody goes on spending under a name that is gone."""

import pytest

from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from control_plane.platform.redaction import redaction
from credits_engine.administration.organisations import LEAD
from credits_engine.erasure import person_data, service
from credits_engine.operations import reservations
from credits_engine.operations.members import reservation_place
from credits_engine.store import members
from tests.credits_engine.erasure.conftest import change
from tests.credits_engine.organisation import LATER, differences, hold, join, leave, take

pytestmark = pytest.mark.usefixtures("acme")
GONE = LATER + 2 * LEAD


def refused(user_id: str) -> str:
    with pytest.raises(Problem) as refusal:
        service.erase(user_id, change(now=GONE))
    return refusal.value.code


def release(user_id: str, key: str) -> None:
    with transaction() as session:
        place = reservation_place(session, user_id, key)
        reservations.release(session, *place, now=LATER, actor="test", reason="Not needed.")


def test_a_member_is_erased_once_they_have_left_and_the_pool_is_as_before() -> None:
    join("ada", analysis=50)
    assert take("ada", "k1", analysis=20).granted
    assert refused("ada") == "IS_MEMBER"
    leave("ada", LATER)
    erased = service.erase("ada", change(now=GONE))
    assert (erased.rows["credit_member"], erased.rows["credit_member_entry"]) == (1, 1)
    assert differences() == 0
    assert take("bob", "k1", GONE, analysis=1).granted


def test_what_a_member_has_reserved_is_settled_first() -> None:
    join("ada")
    hold("ada", "k1", analysis=20)
    leave("ada", LATER)
    assert refused("ada") == "RESERVATION_OPEN"
    release("ada", "k1")
    service.erase("ada", change(now=GONE))
    assert differences() == 0


def test_what_another_member_has_reserved_keeps_nobody_from_being_erased() -> None:
    join("ada")
    join("adam")
    hold("adam", "k1", analysis=20)
    leave("ada", LATER)
    service.erase("ada", change(now=GONE))
    release("adam", "k1")
    assert differences() == 0


def test_an_organisation_is_not_erased_from_under_its_members() -> None:
    join("ada")
    hold("ada", "k1", analysis=20)
    assert refused("acme") == "HAS_MEMBERS"
    leave("ada", LATER)
    assert refused("acme") == "RESERVATION_OPEN"
    release("ada", "k1")
    service.erase("acme", change(now=GONE))
    assert differences() == 0


def test_whoever_a_backup_has_as_a_member_of_an_erased_organisation_spends_from_their_own_account() -> None:
    join("ada")
    with transaction() as session:
        person_data.rename(session, "acme", redaction(["acme"], "erased-1"), [])
        assert members.every(session) == ()
