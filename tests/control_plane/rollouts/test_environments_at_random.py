"""Whatever is done to a flag and to its environments, in any order: no rollback is passed, and one rollout decides."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import Exposure
from control_plane.change_context import ChangeContext
from control_plane.core.phases import PRE_PRODUCTION, Plan, Rollout, exposure
from control_plane.plans import administration
from control_plane.platform.db.database import read_only, transaction
from control_plane.rollout_names import rollout_name
from control_plane.rollouts import UnknownRolloutError, archive, store
from flags.snapshot import SNAPSHOTS
from tests.control_plane.rollouts.rings import phase, plan_of
from tests.flags.examples import NOW

ENVIRONMENTS = ("staging", "canary")
PLACES = (*PRE_PRODUCTION, "canary", "production")
DEEDS_EACH = 80

Deed = Callable[[Session, str, str, ChangeContext], object]


def version(session: Session, name: str) -> int:
    return rollouts.find(session, name).version


def begin(session: Session, flag: str, name: str, change: ChangeContext) -> object:
    if name == flag:
        rings = phase(AudienceKind.ENVIRONMENTS, 100, named=("development", *ENVIRONMENTS))
        return rollouts.plan(session, flag, Plan((rings, phase("everyone", 10, 100)), NOW), change)
    plan = plan_of(name.partition("@")[2], NOW, 40, 100)
    return rollouts.plan(session, name, plan, change, confirm_losing=True)


def give_back(session: Session, _: str, name: str, change: ChangeContext) -> object:
    seen = version(session, name)
    return archive.delete(session, name, change, expected_version=seen, confirm_losing=True, confirm_gaining=True)


def move_away(session: Session, _: str, name: str, change: ChangeContext) -> object:
    seen = rollouts.find(session, name)
    plan = replace(seen.plan, environment="elsewhere")
    return administration.edit(session, name, plan, change, expected_version=seen.version, confirm_losing=True)


def by_version(use_case: Callable[..., object], **options: object) -> Deed:
    return lambda session, _, name, change: use_case(
        session, name, change, expected_version=version(session, name), **options
    )


DEEDS: dict[str, Deed] = {
    "begin": begin,
    "give back": give_back,
    "move away": move_away,
    "advance": by_version(rollouts.advance, confirm_losing=True),
    "step back": by_version(rollouts.step_back),
    "hold": lambda session, _, name, change: rollouts.hold(session, name, change),
    "resume": lambda session, _, name, change: rollouts.resume(session, name, change),
    "archive": by_version(archive.archive, confirm_losing=True),
    "revive": by_version(archive.revive),
    "re-arm": by_version(rollouts.rearm),
    "roll back": lambda session, _, name, change: rollouts.roll_back(session, name, change),
    "roll back by evidence": lambda session, _, name, change: rollouts.roll_back(
        session, name, replace(change, evidence={}), attempt=rollouts.find(session, name).attempt
    ),
    "roll back everywhere": lambda session, _, name, change: rollouts.roll_back(session, name, change, in_all=True),
    "restore": lambda session, _, name, change: rollouts.latch_restored(session, name, None, change),
}


OFTEN = ("begin", *("hold", "resume", "advance") * 4, *("re-arm",) * 8)
"""Else it would be rolled back most of the time."""


def passed(rollouts_of: list[Rollout], flag: str) -> Iterator[str]:
    """Yield every rollback of the flag that one of its environments passed."""
    whole = next((each for each in rollouts_of if each.flag == flag), None)
    for each in rollouts_of:
        if whole is None:
            yield f"{each.flag} without {flag}"
        elif whole.latched_in(each.plan.environment) and not each.latched and each.flag != flag:
            yield f"{each.flag} is open while {flag} is rolled back there"


def gained_while_held(before: list[Rollout], after: list[Rollout], flag: str) -> bool:
    """Return whether anybody came to have the flag in canary, which its hold reaches."""
    held = next((each for each in before if each.flag == flag and each.held_in("canary")), None)
    still = next((each for each in after if each.flag == flag and each.held_in("canary")), None)
    if held is None or still is None:
        return False
    earlier, later = (
        next((each for each in found if each.flag == f"{flag}@canary"), whole)
        for found, whole in ((before, held), (after, still))
    )
    return exposure(later, "canary").adds_somebody_to(exposure(earlier, "canary"))


def random_moves(chance: random.Random) -> Iterator[tuple[str, str]]:
    """Begin all three, then do anything to any of them; most begin again what has ended."""
    yield from (("begin", ""), *(("begin", each) for each in ENVIRONMENTS))
    for _ in range(DEEDS_EACH):
        deed = chance.choice([*DEEDS, *OFTEN])
        environment = chance.choice(["", *ENVIRONMENTS])
        yield deed, "" if deed == "restore" else environment  # a restore is of all of them


def do(session: Session, flag: str, deed: str, environment: str, change: ChangeContext) -> None:
    names = [rollout_name(flag, environment or None)]
    for name in [each.flag for each in store.of_flag(session, flag)] if deed == "restore" else names:
        with suppress(UnknownRolloutError):
            DEEDS[deed](session, flag, name, change)


@pytest.mark.database("sqlite")
@pytest.mark.parametrize("seed", range(10))
def test_no_order_of_deeds_passes_a_rollback_or_leaves_two_to_decide(app: Flask, seed: int) -> None:
    play(app, seed)


@pytest.mark.database("postgresql")
def test_no_order_of_deeds_does_on_postgresql(app: Flask) -> None:
    play(app, seed=10)


def play(app: Flask, seed: int) -> None:
    """Do so many things to a flag, and hold each against what must always be so."""
    chance, flag, now, done = random.Random(seed), "FLAG", NOW, Counter[str]()
    with app.app_context():
        rollouts.ADVANCE_GATES.set(app, {})
        rollouts.REARM_GATES.set(app, {})
        for deed, environment in random_moves(chance):
            now += timedelta(days=8)  # whatever cools down is over
            with transaction() as session:
                before = store.of_flag(session, flag)
                do(session, flag, deed, environment, ChangeContext(now, "alice", "As agreed."))
            with read_only() as session:
                found = store.of_flag(session, flag)
                served = {place: SNAPSHOTS.get().current(session, place).flags.get(flag) for place in PLACES}
            done[f"{len(found)} {any(each.latched for each in found)}"] += 1
            assert [*passed(found, flag)] == [], (deed, environment)
            assert not gained_while_held(before, found, flag), (deed, environment)
            own = {each.flag: each for each in found}
            for place, flag_there in served.items():
                decides = own.get(rollout_name(flag, place)) or own.get(flag)
                admitted = flag_there and (Exposure() if flag_there.latched else flag_there.exposure)
                assert admitted == (exposure(decides, place) if decides else None), (deed, environment, place)
    assert len(done) > 3, done
