"""What forbids that a person is erased, whoever they are, and what people wrote of them that goes."""

import pytest
from sqlalchemy import select, text

from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from credits_engine.administration import top_ups
from credits_engine.erasure import service
from credits_engine.store.tables import PACKS
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.credits_engine.erasure.conftest import PERSON, Erase, change, found
from tests.credits_engine.reconciliation.test_totals import SIGN


@pytest.mark.database("postgresql")
def test_on_several_databases_nobody_is_erased_in_half(filled: VirtualStripe) -> None:
    """Rows lie where the name says, and can't be given another one there."""
    with transaction() as session:
        session.execute(text(SIGN))
    before = found(PERSON)
    with pytest.raises(Problem) as refusal:
        service.erase(PERSON, change(), also=[])
    assert refusal.value.code == "DATABASE_SPREAD"
    assert found(PERSON) == before


def test_why_somebody_ended_a_pack_is_gone_whatever_they_wrote(erase: Erase) -> None:
    with transaction() as session:
        pack_id = session.scalars(select(PACKS.c.id).where(PACKS.c.user_id == PERSON)).one()
        top_ups.revoke(session, pack_id, change("Her sister paid for it."))
    erase()
    assert not [place for place in found("Her sister") if place.startswith("credit_journal")]
