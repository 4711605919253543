"""What the page of a plan says of earlier ones."""

from datetime import UTC, datetime

import pytest

from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.rollouts.store import PlanVersion
from dashboards.language import use_language
from dashboards.view_models.plans import PlanScreen

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("actor", "told"), [("rehearsal", "Una repetición de la guía."), ("alice", "A replay of the guide.")]
)
def test_why_an_earlier_plan_was_made_is_told_in_spanish_unless_a_person_wrote_it(actor: str, told: str) -> None:
    version = PlanVersion(1, NOW, actor, "A replay of the guide.", default_plan(NOW))
    with use_language("es"):
        assert PlanScreen(NOW, FLAG, "").reason_of(version) == told
