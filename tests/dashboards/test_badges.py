"""Every status that the product knows has a face, and no two tones can be told apart by colour alone."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from alerts.analysis.attribution import Attribution
from alerts.analysis.verdicts import Status
from control_plane.core.gates import GateStatus
from control_plane.core.phases import RolloutState
from control_plane.core.transitions import Action
from dashboards.badges import STYLES, Tone, badge_style
from dashboards.gate_sentences import gate_figure
from dashboards.language import use_language
from flags.evaluation.trace import RuleOutcome

ICONS = Path(__file__).parents[2] / "dashboards/templates/_icon.html"
TOKENS = [
    *(token for words in (RolloutState, GateStatus, Status, RuleOutcome) for token in words),
    *(f"rollout.{action}" for action in Action),
    *(token for token in Attribution if token is not Attribution.UNKNOWN),
]


@pytest.mark.parametrize("token", TOKENS)
def test_every_token_is_in_the_table(token: StrEnum | str) -> None:
    assert str(token) in STYLES


def test_what_the_guard_concluded_is_said_alike_in_a_gates_evidence() -> None:
    with use_language("en"):
        assert [gate_figure(status, "credit_variance") for status in Status] == [
            badge_style(status).label for status in Status
        ]
        assert gate_figure("guard", "actor") == "guard"


def test_every_icon_is_drawn() -> None:
    drawn = set(re.findall(r'^  "([a-z]+)":', ICONS.read_text(), re.MULTILINE))
    assert {face.icon for face in STYLES.values()} <= drawn


def test_tones_of_one_vocabulary_differ_in_their_icons_too() -> None:
    for tokens in (RolloutState, GateStatus, Status):
        faces = [badge_style(token.value) for token in tokens]
        tones_of = {icon: {face.tone for face in faces if face.icon == icon} for icon in {face.icon for face in faces}}
        assert all(len(tones) == 1 for tones in tones_of.values()), tokens


def test_an_unknown_token_is_shown_quietly_in_its_own_words() -> None:
    assert badge_style("credits.manual_adjust") == badge_style("manual_adjust")
    assert (badge_style("manual_adjust").label, badge_style("manual_adjust").tone) == ("Manual adjust", Tone.QUIET)
