"""What the core says is told in another language from its values: all that is ours, and nothing else."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts.analysis.attribution import Attribution
from alerts.analysis.incident import PHRASES
from alerts.analysis.verdicts import Status, Verdict
from alerts.definitions.parser import parse
from control_plane.audiences.base import AudienceKind, audience_kind
from control_plane.audiences.constraint import Constraint, Operator
from control_plane.core.default_plan import default_plan
from control_plane.core.gates import GateResult, GateStatus
from control_plane.core.latch import latch_sentence
from control_plane.core.lifecycle import Stage
from control_plane.core.phases import LOWEST, Phase, Position, Rollout, RolloutState
from control_plane.core.transitions import Reason
from control_plane.experiments.credits import CREDITS, FLAG
from control_plane.plans.templates import TEMPLATES
from control_plane.platform.identity_types import Role
from control_plane.platform.problems import Problem
from control_plane.signal_counts import Counts
from credits_engine.engines.receipts import EntryType
from dashboards import audience_sentences, incident_sentences, latch_sentences, summaries, trace_sentences
from dashboards.badges import STYLES
from dashboards.delivered_texts import DELIVERED, delivered
from dashboards.filters import ACRONYMS, NARROW, figures_in
from dashboards.gate_sentences import gate_sentence
from dashboards.incident_sentences import incident_sentence
from dashboards.language import gettext, use_language
from dashboards.names import NAMES
from dashboards.problem_sentences import problem_sentence, problem_title, reason_sentence
from dashboards.stored_sentences import localized_text
from dashboards.trace_sentences import code_sentence, step_sentence, trace_sentence
from dashboards.verdict_sentences import verdict_cause, verdict_reason
from flags.evaluation.trace import ReasonCode, Rule, RuleOutcome, TraceStep, describe
from flags.explanation import NextStep, next_sentence

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PLAN = default_plan(datetime(2026, 1, 1, tzinfo=UTC))
DRILL = {"passed": True, "required_days": 7}
ROOT = Path(__file__).parents[2]


def verdict(status: Status, attribution: Attribution = Attribution.CANDIDATE_ONLY, **fields: Any) -> Verdict:
    counts: dict[str, Any] = {"counts": Counts(30, 9000), "window": Counts(26, 7010), "window_seconds": 300.0}
    bar: dict[str, Any] = {"threshold": 0.01, "threshold_text": "1%", "evidence_log10": 5.0, "rollback_log10": 2.8}
    made = Verdict(
        alert="credit_variance", status=status, cause="Why.", at=NOW, attribution=attribution, **counts, **bar
    )
    return made._replace(**fields)


def plain_english(name: str) -> str:
    first, *rest = name.split("_")
    return " ".join(word.upper() if word.lower() in ACRONYMS else word for word in (first.capitalize(), *rest))


def test_a_name_of_ours_reads_in_english_as_any_name_does() -> None:
    assert {name: plain_english(name) for name in NAMES} == NAMES


def test_every_name_that_we_deliver_has_words() -> None:
    alerts = [rule.name for rule in parse((ROOT / "alerts.yaml").read_text())]
    delivered = {*alerts, *map(str, Role), *map(str, Stage), *map(str, EntryType), *map(str, Rule)}
    assert delivered - NAMES.keys() == set()


def test_every_text_of_a_plan_that_we_deliver_is_in_each_language_and_a_text_of_ones_own_stays() -> None:
    plans = [template.make(NOW) for template in TEMPLATES.values()]
    checklists = [checklist for plan in plans for checklist in plan.checklists]
    texts = {
        *(template.description for template in TEMPLATES.values()),
        *(phase.title for plan in plans for phase in plan.phases if not phase.constraints),
        *(checklist.title for checklist in checklists),
        *(item.title for checklist in checklists for item in checklist.items),
        *(contact for plan in plans for contact in plan.contacts),
    }
    assert texts == DELIVERED
    with use_language("es"):
        assert delivered("Beta allowlist") == "Lista beta"
        assert delivered("Friends of ours") == "Friends of ours"
        assert {text for text in texts if delivered(text) == text} == set()


@pytest.mark.parametrize("phase", PLAN.phases, ids=lambda phase: phase.name)
def test_an_audience_is_told_in_english_as_the_core_tells_it(phase: Phase) -> None:
    core = audience_kind(phase.audience)
    assert audience_sentences.audience_sentence(phase, "1 Jan 2026") == core.sentence(phase, "1 Jan 2026")
    assert audience_sentences.audience_reach(phase, "25 %") == core.reach(phase, "25 %")


def test_every_badge_is_in_the_catalogue() -> None:
    with use_language("es"):
        same = {style.label for style in STYLES.values() if gettext(style.label) == style.label}
    assert same == set()


@pytest.mark.parametrize("latches_all", [True, False])
def test_whom_a_rollback_leaves_the_flag_is_told_in_english_as_the_core_tells_it(latches_all: bool) -> None:
    rolled_back = Rollout(FLAG, PLAN, 4, 1, RolloutState.ROLLED_BACK, LOWEST, NOW, NOW, "x", latches_all=latches_all)
    assert latch_sentences.environments_sentence(rolled_back) == latch_sentence(rolled_back)


@pytest.mark.parametrize(
    ("gate", "words"),
    [
        (GateResult("soak", GateStatus.OPEN, "."), "El tiempo de observación de este paso ha terminado."),
        (
            GateResult("soak", GateStatus.CLOSED, ".", opens_at=NOW),
            "El tiempo de observación de este paso dura hasta el 2 mar 2026, 12:00 UTC.",
        ),
        (
            GateResult("served", GateStatus.UNKNOWN, ".", {"served": 17, "required": 1}),
            "La versión nueva ha atendido 17; este paso debe ver 1 operación.",
        ),
        (
            GateResult("approvals", GateStatus.CLOSED, ".", {"approved_by": [], "quorum": 2}),
            "0 de 2 aprobaciones; faltan 2, de personas que ni hayan hecho este plan ni pidan el cambio.",
        ),
        (
            GateResult(
                "drill", GateStatus.CLOSED, ".", {"run_at": NOW.isoformat(), "passed": True, "required_days": 7}
            ),
            "Se superó por última vez el 2 mar 2026, 12:00 UTC, hace más de 7 días.",
        ),
    ],
)
def test_a_gate_is_told_by_its_figures(gate: GateResult, words: str) -> None:
    assert gate_sentence(gate) == gate.reason
    with use_language("es"):
        assert gate_sentence(gate) == words


@pytest.mark.parametrize(
    "gate",
    [
        GateResult("a gate of theirs", GateStatus.CLOSED, "Say it yourself."),
        GateResult("approvals", GateStatus.CLOSED, "Say it yourself.", {"quorum": "two"}),
        GateResult("served", GateStatus.OPEN, "Say it yourself.", {"served": None, "required": 1}),
        GateResult(
            "drill", GateStatus.OPEN, "Say it yourself.", {"run_at": "lately", "passed": True, "required_days": 1}
        ),
    ],
)
def test_a_gate_whose_figures_are_not_ours_speaks_for_itself(gate: GateResult) -> None:
    with use_language("es"):
        assert gate_sentence(gate) == "Say it yourself."


@pytest.mark.parametrize("status", Status)
@pytest.mark.parametrize("attribution", Attribution)
@pytest.mark.parametrize("since", [None, NOW])
def test_every_verdict_is_told(status: Status, attribution: Attribution, since: datetime | None) -> None:
    made = verdict(status, attribution, breached_since=since)
    assert verdict_cause(made, CREDITS) == "Why."
    told = verdict_reason(made, CREDITS)
    assert told == figures_in(made.reason)
    assert "26 of 7 010 (0.371 %) were bad in the last 5 min, and" in told.replace(NARROW, " ")
    with use_language("es"):
        assert not re.search(r"\b(the|threshold|over)\b", verdict_reason(made, CREDITS))
        assert "26 de 7\u202f010 (0,37\u202f%)" in verdict_reason(made, CREDITS)


@pytest.mark.parametrize(
    ("allowed", "words"),
    [
        ("1% of the users of an hour", "se permite 1\u202f% de los usuarios de una hora."),
        ("5% slower than 500ms", "se permite 5\u202f% por encima de 500ms."),
        ("0.5% above 5,000 credits", "se permite 0,5\u202f% por encima de 5\u202f000 créditos."),
        ("0.5%", "se permite 0,5\u202f%."),
    ],
)
def test_what_is_allowed_is_told_in_the_language_of_the_page(allowed: str, words: str) -> None:
    made = verdict(Status.HOLD, Attribution.CANDIDATE_ONLY)._replace(cause="Fine.", threshold_text=allowed)
    with use_language("es"):
        assert words in verdict_reason(made, CREDITS)
        assert words in localized_text(made.conclusion)


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("DEFAULT: default_off", "Ninguna regla incluyó a este usuario, así que el flag está desactivado."),
        ("TARGETING_MATCH: beta_member", "Este usuario está en la lista beta."),
        ("SPLIT: everyone_inside", "SPLIT: everyone_inside"),
        ("kept from an earlier version", "kept from an earlier version"),
        ("", ""),
    ],
)
def test_the_code_that_the_journal_keeps_is_told_where_it_needs_no_figure(written: str, sentence: str) -> None:
    with use_language("es"):
        assert code_sentence(written) == sentence


def test_going_back_is_never_recommended_where_the_control_fails() -> None:
    with use_language("es"):
        shared = verdict_cause(verdict(Status.HOLD, Attribution.SHARED, breached_since=NOW), CREDITS)
        legacy = verdict_cause(verdict(Status.HOLD, Attribution.CONTROL, breached_since=NOW), CREDITS)
    assert shared == "Por encima de su umbral, pero también falla legacy, así que volver atrás no ayudaría."
    assert legacy == "Por encima de su umbral, pero quien falla es legacy, así que volver atrás haría daño."


def test_every_incident_that_the_guard_has_words_for_has_them_here() -> None:
    assert incident_sentences.SENTENCES.keys() == PHRASES.keys()


@pytest.mark.parametrize(
    ("alert", "words"),
    [
        (
            "credit_variance",
            "Discrepancia de créditos: v2 respondió de forma distinta a legacy en 26 de 7 010 operaciones.",
        ),
        ("credit_drift", "Desviación de créditos: v2 cobra de media un 0,37 % más o menos que legacy."),
        ("an_alert_of_theirs", "An alert of theirs: Supera su umbral: fueron erróneas 26 de 7 010."),
    ],
)
def test_an_incident_is_told_by_its_counts(alert: str, words: str) -> None:
    with use_language("es"):
        assert incident_sentence(verdict(Status.ROLLBACK, alert=alert), CREDITS).replace("\u202f", " ") == words


def test_what_is_about_a_part_of_the_traffic_stands_as_the_guard_wrote_it() -> None:
    with use_language("es"):
        assert "plan=pro alone" in incident_sentence(verdict(Status.ROLLBACK, cohort="plan=pro alone."), CREDITS)


@pytest.mark.parametrize("by_guard", [True, False])
def test_a_rollout_says_why_in_the_readers_language_only_where_the_guard_acted(by_guard: bool) -> None:
    rolled_back = Rollout(
        FLAG, PLAN, 4, 1, RolloutState.ROLLED_BACK, Position(2, 1), NOW, NOW, "credit_variance: Bad. 9."
    )
    incident = verdict(Status.ROLLBACK) if by_guard else None
    with use_language("es"):
        sentence = summaries.status_sentence(rolled_back, (), NOW + timedelta(hours=1), incident=incident)
    assert ("v2 respondió de forma distinta" in sentence) is by_guard
    assert ("Bad." in sentence) is not by_guard
    assert summaries.status_sentence(rolled_back, (), NOW, incident=incident).count("Bad.") == 1


def test_every_step_of_an_evaluation_is_told() -> None:
    assert trace_sentences.SENTENCES.keys() == set(ReasonCode)
    for code in ReasonCode:
        step = TraceStep(Rule.EVERYONE, RuleOutcome.DECIDED, code, 7, 25, "why", NOW)
        assert trace_sentence(step) == describe(step)
        with use_language("es"):
            assert trace_sentence(step) != describe(step)
            assert ("why" in trace_sentence(step)) is ("why" in describe(step))
            assert ("7" in trace_sentence(step)) is ("7" in describe(step))


def test_a_rollback_is_told_by_the_first_sentence_of_its_reason() -> None:
    reason = "v2 failed 12 of 20 operations. Over its threshold, and v2 alone is to blame. Bad were 12 of 20 (60%)."
    step = TraceStep(Rule.ROLLBACK_LATCH, RuleOutcome.DECIDED, ReasonCode.ROLLED_BACK, note=reason)
    assert trace_sentence(step) == "The rollout is rolled back: v2 failed 12 of 20 operations."


@pytest.mark.parametrize("step", [NextStep(is_latched=True), NextStep(is_latched=False), *(
    NextStep(is_latched=False, phase=PLAN.phases[2], percentage=50, variant=each) for each in (None, "on", "off")
)])  # fmt: skip
def test_the_next_step_is_told(step: NextStep) -> None:
    assert step_sentence(step) == next_sentence(step)
    with use_language("es"):
        assert step_sentence(step) != next_sentence(step)
        assert ("Primero los nuevos registros, 50" in step_sentence(step)) is (step.phase is not None)


def test_a_refusal_is_told_by_its_code_and_one_of_no_code_of_ours_as_it_was_written() -> None:
    known, unknown = Problem(404, "NOT_FOUND", "There is nothing at /x."), Problem(418, "TEAPOT", "It is a teapot.")
    assert problem_sentence(known) == "There is nothing at /x."
    with use_language("es"):
        assert problem_sentence(known) == "No hay nada en esta dirección; compruébela."
        assert problem_title(known) == "No encontrado"
        assert problem_sentence(unknown) == "It is a teapot."
        assert problem_title(unknown) == "I'm a teapot"
        assert (
            reason_sentence(Reason("NOT_HELD", "The rollout is running, not held."))
            == "El despliegue no está en pausa."
        )


@pytest.mark.parametrize("kind", AudienceKind)
def test_every_kind_of_audience_is_said_in_spanish(kind: AudienceKind) -> None:
    constraints = (Constraint("plan", Operator.IN, ("pro",)),) if kind is AudienceKind.ATTRIBUTES else ()
    phase = Phase("team", "Team", kind, (25,), timedelta(0), ("staging",), constraints=constraints)
    english = audience_kind(kind)
    with use_language("es"):
        assert audience_sentences.audience_sentence(phase, "1 ene") != english.sentence(phase, "1 ene")
        if kind is not AudienceKind.ENVIRONMENTS:
            assert audience_sentences.audience_reach(phase, "25 %") != english.reach(phase, "25 %")
