"""Kinds by data: what can't be added, and that any number of them leaves what plans granted before as it was."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines.added_kinds import AddedKind, added_kind_errors, with_kinds
from credits_engine.engines.amounts import KINDS
from credits_engine.engines.credit_plan import CreditKind
from credits_engine.engines.plans import CATALOGUE

START = datetime(2027, 3, 10, tzinfo=UTC)
PLANS = frozenset(plan.name for plan in CATALOGUE.built_in)
LIMITS = st.none() | st.integers(0, 10**6)


def added(name: str = "image", packs: tuple[int, ...] = (20,), **limits: tuple[int | None, int | None]) -> AddedKind:
    return AddedKind(name, START, {**dict.fromkeys(PLANS, (5, 3)), **limits}, packs)


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [
        (added("roast"), "'roast' is in the catalogue already"),
        (added("Image"), "write small letters and digits"),
        (added(team=(1, 1)), "needs a limit for each plan and no other; see team"),
        (AddedKind("image", START, {"free": (1, 1)}), "needs a limit for each plan and no other"),
        (added(free=(-1, 1)), "a limit is a whole number from 0"),
        (added(packs=(0,)), "a pack holds at least one credit"),
        (added(packs=(5, 5)), "each size once"),
    ],
)
def test_what_can_not_be_added_is_refused_with_a_sentence(wanted: AddedKind, sentence: str) -> None:
    assert sentence in " ".join(added_kind_errors([wanted], [], PLANS, KINDS))


def test_one_that_is_added_or_repeated_is_taken_already() -> None:
    assert added_kind_errors([added()], [], PLANS, KINDS) == []
    assert len(added_kind_errors([added(), added()], [], PLANS, KINDS)) == 1
    assert len(added_kind_errors([added()], [added()], PLANS, KINDS)) == 1


KIND = st.builds(
    CreditKind,
    st.sampled_from(["image", "video"]),
    st.fixed_dictionaries(dict.fromkeys(sorted(PLANS), LIMITS)),
    st.fixed_dictionaries(dict.fromkeys(sorted(PLANS), LIMITS)),
)


@given(st.lists(KIND, max_size=4))
def test_kinds_come_at_the_end_in_their_order(kinds: list[CreditKind]) -> None:
    places = len(KINDS)
    for plan, before in zip(with_kinds(CATALOGUE.built_in, kinds), CATALOGUE.built_in, strict=True):
        assert plan.v2.figures[:places] == before.v2.figures
        assert plan.legacy.figures[:places] == before.legacy.figures
        assert plan.v2.figures[places:] == tuple(kind.v2[plan.name] for kind in kinds)
        assert plan.legacy.figures[places:] == tuple(kind.legacy[plan.name] for kind in kinds)
