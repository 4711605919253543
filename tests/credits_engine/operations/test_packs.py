"""Bought packs: which one pays, where credits return to, and that both engines and every rollback leave them whole."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from credits_engine.engines import legacy, packs, v2
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Kind
from credits_engine.engines.decisions import Book, Outcome, Request
from credits_engine.engines.packs import Pack
from tests.credits_engine.examples import NOW, books, requests


def pack(number: int, kind: Kind, held: int, days: int) -> Pack:
    return Pack(number, "ada", kind, held, held, NOW, NOW + timedelta(days=days))


shelves = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(1, 20), st.integers(1, 9)), max_size=5).map(
    lambda drawn: tuple(pack(number, *each) for number, each in enumerate(drawn, start=1))
)


def left_after(shelf: tuple[Pack, ...], *moves: packs.Allocation) -> dict[int, int]:
    left = {each.id: each.remaining for each in shelf}
    for move in moves:
        left[move.pack_id] += move.amount
    return left


@given(loaded=books, shelf=shelves, request=requests)
def test_the_plan_pays_first_and_packs_the_rest(loaded: Book, shelf: tuple[Pack, ...], request: Request) -> None:
    loaded = replace(loaded, bought=packs.bought(shelf))
    for engine in (legacy.decide, v2.decide):
        decision = engine(loaded, request)
        beyond = packs.beyond_plan(loaded, decision.charged)
        moves = packs.spend(shelf, beyond)
        assert packs.total(moves) == NOTHING - beyond
        assert min(left_after(shelf, *moves).values(), default=0) >= 0
        if decision.outcome is Outcome.ALLOWED and beyond == NOTHING:
            continue
        for kind in KINDS:
            used, limit, part = loaded.used[kind], loaded.limits[kind], beyond[kind]
            posted = decision.charged[kind] - part
            assert part == 0 or (limit is not None and used + posted >= limit), (
                "a pack paid while the plan had something left"
            )


@given(shelf=shelves, data=st.data())
def test_the_pack_that_expires_soonest_pays_first(shelf: tuple[Pack, ...], data: st.DataObject) -> None:
    held = packs.bought(shelf)
    wanted = Amounts(data.draw(st.integers(0, held["analysis"])), data.draw(st.integers(0, held["roast"])))
    left = left_after(shelf, *packs.spend(shelf, wanted))
    for one in shelf:
        for later in shelf:
            if one.kind is later.kind and one.expires_at < later.expires_at:
                assert left[one.id] == 0 or left[later.id] == later.remaining


@given(loaded=books, shelf=shelves, request=requests, data=st.data())
def test_giving_a_part_back_leaves_what_the_rest_alone_would_have_left(
    loaded: Book, shelf: tuple[Pack, ...], request: Request, data: st.DataObject
) -> None:
    loaded = replace(loaded, bought=packs.bought(shelf))
    charged = v2.decide(loaded, request).charged
    kept = Amounts(data.draw(st.integers(0, charged["analysis"])), data.draw(st.integers(0, charged["roast"])))
    drawn = packs.spend(shelf, packs.beyond_plan(loaded, charged))
    returned = packs.refund(drawn, charged - kept)
    alone = packs.spend(shelf, packs.beyond_plan(loaded, kept))
    assert left_after(shelf, *drawn, *returned) == left_after(shelf, *alone)
    posted = charged + packs.total(drawn)
    to_plan = charged - kept - packs.total(returned)
    assert posted - to_plan == kept + packs.total(alone)
