"""What the flags refuse of a plan: a step that takes the flag from somebody, and ids that SDKs can't tell apart."""

from dataclasses import replace

import pytest
from flask import Flask

from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.change_context import ChangeContext
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import Plan
from control_plane.core.transitions import Decision, Refusal, Transition
from control_plane.platform.db.database import transaction
from control_plane.rollouts import store
from flags.administration.losses import losing_steps
from tests.flags.examples import CUTOVER, FLAG, NOW

CLASH = "FLAG_25537", "FLAG_26611"
"""Two names that lead to the same segment ids."""


def plan(flag: str) -> Decision:
    with transaction() as session:
        return rollouts.plan(session, flag, default_plan(CUTOVER), ChangeContext(NOW, "alice", "A plan."))


def with_steps(audience: AudienceKind, *steps: int) -> Plan:
    guide = default_plan(CUTOVER)
    phases = (replace(phase, steps=steps) if phase.audience is audience else phase for phase in guide.phases)
    return replace(guide, phases=tuple(phases))


def test_the_guides_plan_takes_the_flag_from_nobody() -> None:
    assert list(losing_steps(FLAG, default_plan(CUTOVER))) == []


@pytest.mark.parametrize(
    ("audience", "sentence"),
    [
        (AudienceKind.EVERYONE, "Everyone at 10 % would take {} from users: Everyone goes down from 50 % to 10 %."),
        (
            AudienceKind.NEW_SIGNUPS,
            "New signups first at 10 % would take {} from users: New signups go down from 50 % to 10 %.",
        ),
    ],
)
def test_a_step_that_goes_down_names_the_cohort_that_would_lose(audience: AudienceKind, sentence: str) -> None:
    assert next(losing_steps(FLAG, with_steps(audience, 50, 10))) == sentence.format(FLAG)


def test_environments_that_are_left_out_later_would_lose() -> None:
    guide = default_plan(CUTOVER)
    first = guide.phases[0]
    narrower = replace(guide, phases=(first, replace(first, title="Staging alone", environments=("staging",))))
    assert list(losing_steps(FLAG, narrower)) == [
        f"Staging alone at 100 % would take {FLAG} from users: The environment development is no longer on as a whole."
    ]


def test_a_condition_that_engines_read_differently_is_refused_with_the_reason(app: Flask) -> None:
    plain, odd = (Constraint("seats", Operator.NUM_GT, (value,)) for value in ("5", "5,5"))
    guide = default_plan(CUTOVER)
    phase = replace(guide.phases[2], audience="attributes", constraints=(plain, odd))
    with app.app_context(), transaction() as session:
        asked = replace(guide, phases=(*guide.phases[:2], phase, guide.phases[3]))
        refused = rollouts.plan(session, FLAG, asked, ChangeContext(NOW, "alice", "A plan."))
    assert isinstance(refused, Refusal)
    assert [reason.code for reason in refused.reasons] == ["CONSTRAINT_INVALID"]
    assert refused.sentence.startswith("Phase 'new-signups': constraint 2.value: A number with up to 15 digits")


def test_a_name_whose_segment_ids_are_taken_is_refused(app: Flask) -> None:
    with app.app_context():
        assert isinstance(plan(CLASH[0]), Transition)
        refused = plan(CLASH[1])
        assert isinstance(refused, Refusal)
        assert [reason.code for reason in refused.reasons] == ["SEGMENT_IDS_CONFLICT"]
        assert "could not tell the user lists of FLAG_26611 from those of FLAG_25537" in refused.sentence
        with transaction() as session:
            assert store.load(session, CLASH[1]) is None


def test_other_names_are_taken(app: Flask) -> None:
    with app.app_context():
        assert [type(plan(flag)) for flag in ("ONE", "ANOTHER", CLASH[0])] == [Transition] * 3
