"""What an environment is served is exactly the exposure of its rollout: its own where it has one, else the flag's."""

import random
from dataclasses import replace
from datetime import timedelta

from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.exposure import PRODUCTION, Exposure
from control_plane.core.phases import PRE_PRODUCTION, Phase, Plan, Rollout, exposure, new_rollout, positions
from control_plane.core.plan_errors import plan_errors
from control_plane.core.rollbacks import decide_rollback
from control_plane.core.transitions import Transition
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime import change_feed
from control_plane.rollout_names import environment_of, flag_of, name_errors, rollout_name
from control_plane.rollouts import store
from flags.snapshot import SNAPSHOTS
from tests.flags.examples import NOW
from tests.properties import rollouts_at_random as at_random

FLAGS = ("A", "a", "A.b")
ENVIRONMENTS = (*PRE_PRODUCTION, "canary", "Staging")
PLACES = (*ENVIRONMENTS, PRODUCTION)

names = st.text("Aa._~-@ b/", max_size=12)


def plan_of(environment: str, chance: random.Random) -> Plan:
    """Return any plan, as one of this environment alone: where it opened environments, it opens that one as a whole."""
    made = at_random.plan(chance)
    if environment == PRODUCTION:
        return made
    phases = [phase for phase in made.phases if phase.audience != AudienceKind.ENVIRONMENTS]
    if not phases or chance.random() < 0.3:
        whole = Phase("whole", "All", AudienceKind.ENVIRONMENTS, (100,), timedelta(0), environments=(environment,))
        phases = [*phases, whole]
    found = replace(made, phases=tuple(phases), environment=environment)
    assert not plan_errors(found)
    return found


def somewhere(name: str, plan: Plan, chance: random.Random) -> Rollout:
    """Return a rollout of any position, rolled back in either scope now and then."""
    begun = new_rollout(name, plan, now=NOW, reason="Planned.")
    moved = replace(begun, position=chance.choice(positions(plan)))
    if chance.random() < 0.7:
        return moved
    latched = decide_rollback(moved, now=NOW, reason="Errors.", in_all=chance.random() < 0.5)
    assert isinstance(latched, Transition)
    return latched.after


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_an_environment_is_served_the_exposure_of_its_rollout(app: Flask, seed: int) -> None:
    chance = random.Random(seed)
    wanted: dict[str, Rollout] = {}
    for key in FLAGS:
        for environment in (PRODUCTION, *chance.sample(ENVIRONMENTS, chance.randint(0, len(ENVIRONMENTS)))):
            name = rollout_name(key, environment)
            wanted[name] = somewhere(name, plan_of(environment, chance), chance)
    with app.app_context():
        with transaction() as session:
            for rollout in wanted.values():
                store.add(session, rollout)
            change_feed.publish(session, "rollout", "*", now=NOW)
        with read_only() as session:
            found = {place: SNAPSHOTS.get().current(session, place).flags for place in PLACES}
        with transaction() as session:
            for name in wanted:
                store.delete(session, name)
    for place, flags in found.items():
        assert flags.keys() == set(FLAGS)
        for key, flag in flags.items():
            decides = wanted.get(rollout_name(key, place), wanted[key])
            assert (Exposure() if flag.latched else flag.exposure) == exposure(decides, place), (place, decides)
            assert flag.key == key
            if decides.flag == key:
                continue
            elsewhere = [each for each in PLACES if each != place]
            assert all(exposure(decides, each).empty for each in elsewhere), decides


@given(names)
def test_a_name_means_one_flag_and_one_environment_or_is_refused(name: str) -> None:
    flag, environment = flag_of(name), environment_of(name)
    if not [*name_errors(name)]:
        assert rollout_name(flag, environment) == name
        assert "@" not in flag
        assert environment is None or ("@" not in environment and environment != PRODUCTION)
