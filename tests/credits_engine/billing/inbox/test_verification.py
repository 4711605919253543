"""Who sent a delivery, and whose event it is: believed only when both are as they must be."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from control_plane.platform.db.database import read_only
from control_plane.platform.observability import signals
from control_plane.platform.settings import SETTINGS, Settings
from credits_engine.billing import metrics
from credits_engine.billing.inbox.verification import refusal
from credits_engine.billing.models import FACTS
from credits_engine.store.tables import USERS
from tests.credits_engine.billing.conftest import OLD_SECRET, SECRET, Billing, sign
from tests.credits_engine.billing.stories import a_subscriber
from tests.credits_engine.billing.stripe_api.test_client import thin
from tests.credits_engine.billing.stripe_objects import GENERATIONS, Json
from tests.credits_engine.billing.virtual_stripe import START

NOW = datetime(2027, 3, 14, 15, 9, 26, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
BODY = json.dumps(
    {"id": "evt_1", "object": "event", "type": "invoice.paid", "data": {"object": {"id": "in_ü"}}}
).encode()
HEADER = sign(BODY, SECRET, SECONDS)
MUTANTS = 10_000


def accepts(body: bytes, header: str | None, *, secrets: tuple[str, ...] = (OLD_SECRET, SECRET)) -> bool:
    return refusal(body, header, secrets, NOW) is None


def mutated(chance: random.Random, text: bytes) -> bytes:
    """Return the text with one byte changed, added, removed, repeated or moved."""
    place = chance.randrange(len(text))
    match chance.randrange(5):
        case 0:
            return text[:place] + bytes([text[place] ^ 1 << chance.randrange(8)]) + text[place + 1 :]
        case 1:
            return text[:place] + bytes([chance.randrange(256)]) + text[place:]
        case 2:
            return text[:place] + text[place + 1 :]
        case 3:
            return text[: place + 1] + text[place:]
        case _:
            return text[place + 1 :] + text[: place + 1]


def test_a_signature_by_any_of_the_secrets_is_accepted() -> None:
    assert accepts(BODY, HEADER)
    assert accepts(BODY, sign(BODY, OLD_SECRET, SECONDS))
    both = f"{sign(BODY, 'whsec_of_somebody_else', SECONDS)},{HEADER.partition(',')[2]}"
    assert accepts(BODY, both)
    assert accepts(BODY, f"{HEADER},v0={'0' * 64}")
    assert not accepts(BODY, HEADER, secrets=(OLD_SECRET,))


def test_ten_thousand_mutants_are_all_refused_in_words() -> None:
    chance = random.Random(2027)
    for number in range(MUTANTS):
        body, header = (mutated(chance, BODY), HEADER) if number % 2 else (BODY, mutated(chance, HEADER.encode()))
        header_text = header if isinstance(header, str) else header.decode("latin-1")
        if (body, header_text) != (BODY, HEADER):
            assert refusal(body, header_text, (OLD_SECRET, SECRET), NOW), (body, header_text)


@given(st.binary(max_size=400), st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
@example(b"", "t=,v1=")
@example(BODY, f"t={SECONDS},v1={'é' * 64}")
@example(BODY, ",".join(["t=1"] * 5000))
def test_nothing_that_is_thrown_at_it_makes_it_fail_or_believe(body: bytes, header: str) -> None:
    assert not accepts(body, header)


@pytest.mark.parametrize(
    ("seconds", "believed"), [(0, True), (300, True), (-300, True), (301, False), (-301, False), (31_536_000, False)]
)
def test_a_time_too_far_from_ours_is_refused_both_ways(seconds: int, believed: bool) -> None:
    assert accepts(BODY, sign(BODY, SECRET, SECONDS + seconds)) is believed


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "t=,v1=",
        HEADER.replace("t=", "t=+"),
        HEADER.replace("t=1", "t=1_"),
        HEADER.replace("t=", "t=0"),
        HEADER.replace("v1=", "v1= "),
        HEADER.replace("v1=", "v0="),
        HEADER.replace(",", ";"),
        HEADER.replace(",", ", "),
        HEADER.partition("v1=")[0] + "v1=" + HEADER.partition("v1=")[2].upper(),
        HEADER + ",t=1",
        HEADER + "," + "v1=" + "0" * 63,
        HEADER + "," + ",".join(["v1=" + "0" * 64] * 10),
        HEADER + "," + "a" * 5000,
        "v1=" + "é" * 64,
    ],
)
def test_headers_that_stripe_does_not_write_are_refused(header: str | None) -> None:
    assert not accepts(BODY, header)


def test_a_body_that_is_no_text_is_refused() -> None:
    assert refusal(b"\xff\xfe", HEADER, (SECRET,), NOW) == "The body is not UTF-8."


def test_a_blank_secret_opens_nothing() -> None:
    for secret in ("", " ", "\t"):
        assert not accepts(BODY, sign(BODY, secret, SECONDS), secrets=(secret,))


ACCOUNT = "acct_1Connected"


def configure(billing: Billing, **changes: Any) -> None:
    settings: Settings = SETTINGS.get(billing.app)
    SETTINGS.set(billing.app, replace(settings, **changes))


def subscriber(generation: str = GENERATIONS[-1], **changes: Json | str | bool) -> list[Json]:
    return [event | changes for event in a_subscriber("ada", generation)]


def states(billing: Billing) -> set[str]:
    return set(billing.states().values())


def failures_counted(billing: Billing) -> int:
    signals.flush(billing.now)
    with read_only() as session:
        return sum(count.total for series, count in signals.totals(session).items() if series.signal == metrics.FAILURE)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("changes", [{"account": ACCOUNT}, {"livemode": False}, {"livemode": "true"}])
def test_what_is_none_of_ours_changes_nothing_and_is_told(billing: Billing, generation: str, changes: Json) -> None:
    events = subscriber(generation, **changes)
    billing.process(events, at=START)
    assert states(billing) == {"refused"}
    assert billing.event(events[0]["id"])["reason"].startswith("Refused: ")
    assert (billing.rows(USERS), billing.rows(FACTS), failures_counted(billing)) == ([], [], 0)


def test_accounts_that_are_listed_are_ours(billing: Billing) -> None:
    configure(billing, stripe_accounts=("acct_other", ACCOUNT))
    billing.process(subscriber(account=ACCOUNT), at=START)
    assert billing.user("ada")[0] == "pro"
    assert failures_counted(billing) > 0


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
    billing: Billing, environment: str, setting: bool | None, livemode: bool, counts: bool
) -> None:
    configure(billing, environment=environment, stripe_livemode=setting)
    billing.process(subscriber(livemode=livemode), at=START)
    assert ("refused" not in states(billing)) is counts


@pytest.mark.parametrize("changes", [{"context": ACCOUNT}, {"livemode": False}])
def test_a_thin_event_of_somebody_else_is_not_even_followed(billing: Billing, changes: Json) -> None:
    def ask(*_: object) -> list[Any]:
        raise AssertionError("nobody asks Stripe about somebody else's subscription")

    billing.now = START
    billing.deliver(thin("sub_1") | changes)
    billing.work(doubts=ask)
    assert states(billing) == {"refused"}


def test_the_delivery_is_acknowledged(billing: Billing) -> None:
    event = subscriber(account=ACCOUNT)[0]
    assert billing.post(event).status_code == 200
