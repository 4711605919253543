"""Events of other accounts and of the other mode: kept, told, and without any effect."""

from dataclasses import replace
from typing import Any

import pytest

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.settings import SETTINGS, Settings
from credits_engine.billing import metrics
from credits_engine.billing.models import FACTS
from credits_engine.store.tables import USERS
from tests.credits_engine.billing.conftest import Office
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.stripe_api.test_client import thin
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_stripe import START

ACCOUNT = "acct_1Connected"


def configure(office: Office, **changes: Any) -> None:
    settings: Settings = SETTINGS.get(office.app)
    SETTINGS.set(office.app, replace(settings, **changes))


def subscriber(generation: str = GENERATIONS[-1], **changes: Json | str | bool) -> list[Json]:
    return [event | changes for event in a_subscriber("ada", generation)]


def states(office: Office) -> set[str]:
    return set(office.states().values())


def judged(office: Office) -> int:
    signals.flush(office.now)
    with read_only() as session:
        return sum(count.total for series, count in signals.totals(session).items() if series.signal == metrics.FAILURE)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("changes", [{"account": ACCOUNT}, {"livemode": False}, {"livemode": "true"}])
def test_what_is_none_of_ours_changes_nothing_and_is_told(office: Office, generation: str, changes: Json) -> None:
    events = subscriber(generation, **changes)
    office.tell(events, at=START)
    assert states(office) == {"refused"}
    assert office.event(events[0]["id"])["reason"].startswith("Refused: ")
    assert (office.rows(USERS), office.rows(FACTS), judged(office)) == ([], [], 0)


def test_accounts_that_are_listed_are_ours(office: Office) -> None:
    configure(office, stripe_accounts=("acct_other", ACCOUNT))
    office.tell(subscriber(account=ACCOUNT), at=START)
    assert office.user("ada")[0] == "pro"
    assert judged(office) > 0


@pytest.mark.parametrize(
    ("environment", "setting", "livemode", "counts"),
    [
        ("production", None, True, True),
        ("production", None, False, False),
        ("production", False, False, True),
        ("production", False, True, False),
        ("staging", None, False, True),
        ("staging", None, True, True),
        ("staging", True, False, False),
    ],
)
def test_the_mode_that_counts_is_a_setting(
    office: Office, environment: str, setting: bool | None, livemode: bool, counts: bool
) -> None:
    configure(office, environment=environment, stripe_livemode=setting)
    office.tell(subscriber(livemode=livemode), at=START)
    assert ("refused" not in states(office)) is counts


@pytest.mark.parametrize("changes", [{"context": ACCOUNT}, {"livemode": False}])
def test_a_thin_event_of_somebody_else_is_not_even_followed(office: Office, changes: Json) -> None:
    def ask(*_: object) -> list[Any]:
        raise AssertionError("nobody asks Stripe about somebody else's subscription")

    office.now = START
    office.deliver(thin("sub_1") | changes)
    office.work(doubts=ask)
    assert states(office) == {"refused"}


def test_the_delivery_is_acknowledged(office: Office) -> None:
    event = subscriber(account=ACCOUNT)[0]
    assert office.post(event).status_code == 200
