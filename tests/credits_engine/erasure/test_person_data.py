"""What forbids that a person is erased, whoever they are."""

import pytest
from sqlalchemy import text

from control_plane.platform.db.database import transaction
from control_plane.platform.problems import Problem
from credits_engine.erasure import service
from tests.credits_engine.billing.virtual_stripe import VirtualStripe
from tests.credits_engine.erasure.conftest import PERSON, change, found
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
