"""The whole life of credits against a model: packs, reservations, resets and adjustments besides all that `Life` does.

The model knows what each book and each pack must hold and learns nothing from them: it counts by itself, spends the
plan before packs and the pack that ends soonest before the others, and gives back in the reverse order.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from control_plane.change_context import ChangeContext
from control_plane.platform.db.database import read_only, transaction
from credits_engine.administration import corrections, top_ups
from credits_engine.administration.corrections import Adjustment, CorrectionRefused
from credits_engine.administration.top_ups import Purchase
from credits_engine.engines.amounts import KINDS, NOTHING, Amounts, Kind
from credits_engine.engines.decisions import EngineName, Outcome
from credits_engine.engines.receipts import EntryType, Receipt
from credits_engine.expiry_jobs import sweep, sweep_packs
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from credits_engine.operations.reservations import DEFAULT_TTL, FinalizedDifferentlyError
from credits_engine.reconciliation.journal import reconcile
from tests.credit_kinds import ANALYSIS, ROAST
from tests.credits_engine.conftest import LEGACY_SERVES, V2_SERVES, Consumer
from tests.credits_engine.operations.test_random_life import USERS, Life, examples

users = st.sampled_from(USERS)


@dataclass
class ModelPack:
    """A pack as the model has it."""

    id: int
    user: str
    kind: Kind
    remaining: int
    ends: datetime


@dataclass
class Hold:
    """A reservation as the model has it: what each book was charged where, and what each pack paid."""

    user: str
    asked: Amounts
    posted: Amounts
    starts: dict[EngineName, datetime]
    drawn: list[tuple[ModelPack, int]]
    expires_at: datetime


class WholeLife(Life):
    """Everything that can happen to credits."""

    def __init__(self) -> None:
        super().__init__()
        self.packs: list[ModelPack] = []
        self.holds: dict[str, Hold] = {}
        self.drawn_in_all = dict.fromkeys(USERS, 0)

    def usable(self, user: str, kind: Kind) -> list[ModelPack]:
        found = [
            each for each in self.packs if (each.user, each.kind) == (user, kind) and self.consumer.now < each.ends
        ]
        return sorted(found, key=lambda each: (each.ends, each.id))

    def note(self, user: str, receipt: Receipt, asked: Amounts) -> None:
        served = receipt.served
        before = self.used[user, served.engine, served.period.start]
        parts: dict[Kind, tuple[int, int]] = {}
        fits = True
        for kind in KINDS:
            limit, used, amount = served.limits[kind], before[kind], asked[kind]
            left = amount if limit is None else max(limit - used, 0)
            beyond = max(amount - left, 0)
            fits = fits and (amount == 0 or beyond <= sum(each.remaining for each in self.usable(user, kind)))
            parts[kind] = (amount - beyond, beyond)
        assert (served.used, receipt.outcome) == (before, Outcome.ALLOWED if fits else Outcome.DENIED_LIMIT)
        assert receipt.charged == (asked if fits else NOTHING)
        if fits:
            posted = Amounts(parts[ANALYSIS][0], parts[ROAST][0])
            assert served.posted == receipt.shadow.posted == posted
            for side in (served, receipt.shadow):
                self.used[user, side.engine, side.period.start] += posted
            self.last_drawn = [each for kind in KINDS for each in self.draw(user, kind, parts[kind][1])]

    def draw(self, user: str, kind: Kind, missing: int) -> list[tuple[ModelPack, int]]:
        self.drawn_in_all[user] += missing
        paid = []
        for pack in self.usable(user, kind):
            part = min(missing, pack.remaining)
            pack.remaining -= part
            missing -= part
            paid.append((pack, part))
        return paid

    @rule(user=users, kind=st.sampled_from(KINDS), amount=st.integers(1, 40), hours=st.integers(1, 900))
    def buy(self, user: str, kind: Kind, amount: int, hours: int) -> None:
        ends = self.consumer.now + timedelta(hours=hours)
        purchase = Purchase(self.name(user), kind, amount, ends)
        with transaction() as session:
            done = top_ups.top_up(session, purchase, ChangeContext(self.consumer.now, "test", "Bought."))
        self.packs.append(ModelPack(done.pack.id, user, kind, amount, ends))

    @rule(data=st.data())
    def revoke(self, data: st.DataObject) -> None:
        running = [each for each in self.packs if self.consumer.now < each.ends]
        if not running:
            return
        pack = data.draw(st.sampled_from(running))
        with transaction() as session:
            done = top_ups.revoke(session, pack.id, ChangeContext(self.consumer.now, "test", "Refunded."))
        assert done.moved == -pack.remaining
        pack.remaining, pack.ends = 0, self.consumer.now

    @rule(user=users, analysis=st.integers(0, 60), roast=st.integers(0, 25))
    def reserve(self, user: str, analysis: int, roast: int) -> None:
        if analysis + roast == 0:
            return
        self.keys += 1
        key, asked = f"r{self.keys}", Amounts(analysis, roast)
        evaluation = V2_SERVES if self.consumer.v2 else LEGACY_SERVES
        operation = Operation(self.name(user), key, asked, actor="test", type=EntryType.RESERVE)
        with transaction() as session:
            receipt = reservations.reserve(session, operation, now=self.consumer.now, evaluate=lambda _: evaluation)
        self.note(user, receipt, asked)
        if receipt.granted:
            starts = {side.engine: side.period.start for side in (receipt.served, receipt.shadow)}
            expires_at = self.consumer.now + DEFAULT_TTL
            self.holds[key] = Hold(user, asked, receipt.served.posted, starts, self.last_drawn, expires_at)

    def given_back(self, hold: Hold, back: Amounts) -> None:
        left = {kind: back[kind] for kind in KINDS}
        for pack, part in reversed(hold.drawn):
            returned = min(part, left[pack.kind])
            pack.remaining += returned
            left[pack.kind] -= returned
            self.drawn_in_all[hold.user] -= returned
        for engine, start in hold.starts.items():
            used = self.used[hold.user, engine, start]
            self.used[hold.user, engine, start] = Amounts(
                used["analysis"] - min(left[ANALYSIS], used["analysis"]),
                used["roast"] - min(left[ROAST], used["roast"]),
            )

    @rule(data=st.data(), how=st.sampled_from(["commit", "release"]))
    def settle(self, data: st.DataObject, how: str) -> None:
        if not self.holds:
            return
        key = data.draw(st.sampled_from(sorted(self.holds)))
        hold = self.holds[key]
        kept = Amounts(
            data.draw(st.integers(0, hold.asked["analysis"])), data.draw(st.integers(0, hold.asked["roast"]))
        )
        words: dict[str, Any] = {"now": self.consumer.now, "actor": "test"}
        try:
            with transaction() as session:
                if how == "commit":
                    reservations.commit(session, self.name(hold.user), key, amounts=kept, **words)
                else:
                    kept = NOTHING
                    reservations.release(session, self.name(hold.user), key, reason="Failed.", **words)
        except FinalizedDifferentlyError:
            assert how == "commit"
            assert self.consumer.now >= hold.expires_at
            return
        del self.holds[key]
        self.given_back(hold, hold.asked - kept)

    @rule()
    def expire(self) -> None:
        sweep(self.consumer.now)
        sweep_packs(self.consumer.now)
        for key in [key for key, hold in self.holds.items() if self.consumer.now >= hold.expires_at]:
            hold = self.holds.pop(key)
            self.given_back(hold, hold.asked)
        sweep_packs(self.consumer.now)
        for pack in self.packs:
            if self.consumer.now >= pack.ends:
                pack.remaining = 0

    @rule(user=users)
    def reset(self, user: str) -> None:
        with transaction() as session:
            corrections.reset(session, self.name(user), ChangeContext(self.consumer.now, "test", "By hand."))
        both = self.consumer.books(self.name(user))
        for engine in EngineName:
            self.used[user, engine, both.of(engine).period.start] = NOTHING

    @rule(user=users, analysis=st.integers(-20, 20), roast=st.integers(-5, 5))
    def adjust(self, user: str, analysis: int, roast: int) -> None:
        given = Amounts(analysis, roast)
        evaluation = V2_SERVES if self.consumer.v2 else LEGACY_SERVES
        both = self.consumer.books(self.name(user))
        serving = both.of(evaluation.engine)
        fine = all(
            amount <= used and (amount >= 0 or limit is None or used - amount <= limit)
            for amount, used, limit in (
                (analysis, serving.used["analysis"], serving.limits["analysis"]),
                (roast, serving.used["roast"], serving.limits["roast"]),
            )
        )
        try:
            with transaction() as session:
                corrections.adjust(
                    session,
                    Adjustment(self.name(user), given),
                    ChangeContext(self.consumer.now, "test", "Goodwill."),
                    evaluate=lambda _: evaluation,
                )
        except CorrectionRefused:
            assert not fine
            return
        assert fine
        for engine in EngineName:
            place = user, engine, both.of(engine).period.start
            used = self.used[place]
            self.used[place] = used - Amounts(min(analysis, used["analysis"]), min(roast, used["roast"]))

    @invariant()
    def packs_hold_what_was_not_spent(self) -> None:
        for user in USERS:
            shown = {pack.id: pack.remaining for pack in self.consumer.books(self.name(user)).packs}
            known = {pack.id: pack.remaining for kind in KINDS for pack in self.usable(user, kind) if pack.remaining}
            assert shown == known, user

    def teardown(self) -> None:
        for user in USERS:
            rows = self.consumer.journal(self.name(user))
            operations = [row for row in rows if row["type"] in ("consume", "reserve")]
            for row in operations:
                assert row["v2_posted"]["analysis"] == row["legacy_posted"]["analysis"] >= 0
                assert row["v2_posted"]["roast"] == row["legacy_posted"]["roast"] >= 0
            charged_once = [
                row["operation_key"] for row in operations if row["charged"]["analysis"] or row["charged"]["roast"]
            ]
            assert len(charged_once) == len(set(charged_once))


def live(app: Flask, examples_: Any) -> None:
    with app.app_context():
        machine = type("WholeLife", (WholeLife,), {"app": app})
        run_state_machine_as_test(machine, settings=examples_)
        with read_only() as session:
            found = reconcile(session)
        assert found.clean, (found.differences[:3], found.packs)
        assert found.checked > 0


def test_whatever_happens_books_and_packs_hold_what_the_model_says(app: Flask) -> None:
    live(app, examples(15, 30))


@pytest.mark.long
def test_books_and_packs_hold_what_the_model_says_in_five_hundred_lives(app: Flask) -> None:
    live(app, examples(500, 50))


def test_the_model_would_notice_a_pack_that_pays_too_early(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.app_context():
        life = type("WholeLife", (WholeLife,), {"app": app})()
        life.consumer = Consumer(app, v2=True)
        life.enter()
        life.buy("ada", ROAST, 5, 10)
        monkeypatch.setattr("credits_engine.operations.consumption.beyond_plan", lambda _book, _charged: Amounts(0, 1))
        with pytest.raises(AssertionError):
            life.consume("ada", 0, 1)
