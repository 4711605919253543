"""Members' limits and keys: nothing passes a limit whatever the order, and no two members share a key."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.amounts import KINDS, NOTHING, Amounts
from credits_engine.engines.decisions import Book
from credits_engine.engines.memberships import Membership, beyond_limit, member_key, own_key, refused
from credits_engine.engines.periods import calendar_month
from credits_engine.engines.plans import CATALOGUE

START = datetime(2027, 3, 10, tzinfo=UTC)
SECOND = timedelta(seconds=1)
AMOUNTS = st.builds(Amounts, *(st.integers(0, 30) for _ in KINDS))
LIMITS = st.dictionaries(st.sampled_from([*KINDS]), st.integers(0, 100))


@given(LIMITS, st.lists(AMOUNTS, max_size=30))
def test_what_is_let_through_never_passes_a_limit_and_what_fits_is_let_through(
    limits: dict[str, int], asked: list[Amounts]
) -> None:
    member, used = Membership("ada", "acme", START, limits), NOTHING
    for amounts in asked:
        reason = beyond_limit(member, used, amounts)
        fits = all(not amount or used[kind] + amount <= limits.get(kind, 10**9) for kind, amount in amounts.items())
        assert (reason is None) == fits
        if reason is None:
            used += amounts
    assert all(used[kind] <= limit for kind, limit in limits.items())


TEXT = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=40)


@given(TEXT, TEXT, TEXT, TEXT)
def test_no_two_members_share_a_key_and_each_is_read_back(one: str, other: str, key: str, another: str) -> None:
    assert (member_key(one, key) == member_key(other, another)) == ((one, key) == (other, another))
    assert own_key(member_key(one, key)) == key == own_key(key)


def test_a_membership_is_in_force_from_its_start_until_its_end() -> None:
    member = Membership("ada", "acme", START, ends_at=START + SECOND)
    assert [member.is_in_force(START + number * SECOND) for number in (-1, 0, 1)] == [False, True, False]
    assert Membership("ada", "acme", START).is_in_force(START + 10**6 * SECOND)


def test_what_stands_against_the_account_goes_before_a_members_limit() -> None:
    book = Book(calendar_month(START), NOTHING, CATALOGUE.plan("free").v2, blocked="Frozen.")
    assert refused(book, "A limit.").blocked == "Frozen."
    assert refused(book, None).blocked == "Frozen."
