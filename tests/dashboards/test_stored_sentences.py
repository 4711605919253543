"""What we store as text is told in the language of the page; what fits no sentence of ours is marked as English."""

import ast
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from alerts.analysis import cohort_verdicts
from alerts.analysis.attribution import Attribution
from alerts.analysis.incident import incident_sentence
from alerts.analysis.verdicts import Status, Verdict
from alerts.notifications import messages
from control_plane.core.default_plan import default_plan
from control_plane.core.phases import new_rollout
from control_plane.core.transitions import Action
from control_plane.experiments.credits import CREDITS, FLAG
from control_plane.signal_counts import Counts
from credits_engine.engines import legacy, v2
from credits_engine.engines.amounts import NOTHING, Amounts, Limits
from credits_engine.engines.decisions import Book, Engine, Request
from credits_engine.engines.periods import Period
from dashboards.filters import NARROW, stored_sentence
from dashboards.language import use_language
from dashboards.stored_sentences import WRITTEN, localized, localized_value

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PERIOD = Period(NOW - timedelta(days=1), NOW + timedelta(days=29))
CHECKS = (
    "alerts/checks.py",
    "control_plane/checklists/check_job.py",
    "control_plane/checklists/checks.py",
    "control_plane/checklists/builtin_checks.py",
    "credits_engine/billing/checks.py",
    "credits_engine/migration/checks.py",
)
RESULTS = ("passed", "failed", "unknown")
WRITERS = (
    *(f"flags/unleash/canonical/{name}.py" for name in ("constraints", "definitions", "issues", "patterns")),
    *(f"flags/unleash/canonical/{name}.py" for name in ("strategies", "variants")),
    *(f"control_plane/core/{name}.py" for name in ("phase_gates", "plan_errors")),
    "control_plane/plans/document.py",
    "flags/evaluation/monotonicity.py",
    "control_plane/plans/yaml_text.py",
    *(f"credits_engine/engines/{name}.py" for name in ("added_kinds", "plan_versions", "rollovers")),
    "credits_engine/billing/entitlements/price_list.py",
    "credits_engine/billing/entitlements/purchases.py",
    "credits_engine/billing/entitlements/sync.py",
    "credits_engine/billing/entitlements/unpaid.py",
    "credits_engine/billing/inbox/handler.py",
    "credits_engine/billing/reconciliation/comparison.py",
)
"""Modules whose every sentence is one that a page shows."""
OF_NO_PAGE = (
    "is being worked on by somebody else.",
    "new_signups_after is no date that every time zone has.",
    "The stored body is no JSON",
    "An object with features and segments is needed.",
    "7 is needed; 7.",
    "The flag it is for.",
    "is no field here7.",
    "Invoice 7 was 7,",
)
"""Sentences that only a log, an API or a hostile document sees, and those of which a value is words: told below."""


def spanish(text: str) -> str:
    with use_language("es"):
        found = localized(text)
    assert '<span lang="en">' not in found, text
    return str(found)


def sentences_of(path: str) -> Iterator[str]:
    """Yield the sentences of a module of checks, with a word in place of each value."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in RESULTS:
            (said,) = node.args
            if isinstance(said, ast.Constant):
                yield str(said.value)
            elif isinstance(said, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "seven" for part in said.values)


def written_in(path: str) -> Iterator[str]:
    """Yield every sentence that a module writes, with a figure in place of each value."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if id(node) in docstrings | parts:
            continue
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
        elif isinstance(node, ast.JoinedStr):
            said = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        else:
            continue
        if re.search(r"[A-Za-z]+ [a-z].*\.$", said) and not any(each in said for each in OF_NO_PAGE):
            yield said.removeprefix("7 ") if said.startswith(("7 A", "7 E", "7 I")) else said


@pytest.mark.parametrize("path", WRITERS)
def test_each_sentence_about_flags_plans_and_billing_is_told(path: str) -> None:
    sentences = list(written_in(path))
    assert len(sentences) > 1
    assert [text for text in sentences if spanish(text) == stored_sentence(text)] == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Strict JSON is needed; it ends too early.", "Hace falta JSON estricto; it ends too early."),
        (
            "Invoice in_1 was voided, so nothing pays for this period; the next paid one ends this.",
            "La factura in_1 se anuló, así que nada paga este periodo; la próxima pagada acaba con esto.",
        ),
        (
            "Stripe has prices a, b instead of c, status active instead of none, and we know it as of 7.",
            "Stripe tiene precios a, b en lugar de c, estado active en lugar de ninguno, y la conocemos a fecha de 7.",
        ),
        (
            "Line 5, at plans.0.starts: a date or an instant is needed, such as 2026-07-01T00:00:00Z.",
            "Línea 5, en plans.0.starts: hace falta una fecha o un instante, como 2026-07-01T00:00:00Z.",
        ),
        (
            "The edit takes the flag from 1 known user in production: Everyone: from 25 % to 10 %.",
            "La edición quita el flag a 1 usuario conocido en production: Todos: de 25 % a 10 %.",
        ),
        ("Phase 'a': steps must ascend, each once.", "Fase 'a': los pasos deben ascender, cada uno una vez."),
        (
            "Price a or b is on sale at Stripe and buys no plan of the catalogue.",
            "El precio a o b está a la venta en Stripe y no compra ningún plan del catálogo.",
        ),
    ],
)
def test_words_of_ours_within_a_sentence_are_told(said: str, told: str) -> None:
    assert spanish(said) == told


@pytest.mark.parametrize("path", CHECKS)
def test_each_sentence_of_a_check_is_told(path: str) -> None:
    sentences = [text for text in sentences_of(path) if text != "sevenseven"]
    assert sentences
    assert [text for text in sentences if spanish(text) == text] == []


@pytest.mark.parametrize("decide", [legacy.decide, v2.decide])
@pytest.mark.parametrize(
    ("limits", "used", "bought"),
    [(Limits(100, 10), NOTHING, NOTHING), (Limits(1, 1), Amounts(1, 1), NOTHING), (Limits(1, 1), NOTHING, Amounts(1))],
)
def test_each_decision_of_an_engine_is_told(decide: Engine, limits: Limits, used: Amounts, bought: Amounts) -> None:
    book = Book(PERIOD, used, limits, bought=bought)
    for amounts in (Amounts(analysis=3), Amounts(roast=2), Amounts(analysis=3, roast=2)):
        reason = decide(book, Request("u1", amounts)).reason
        assert "Z" not in spanish(reason), reason
        assert " asked for" not in spanish(reason)


@pytest.mark.parametrize("action", messages.HAPPENED)
def test_the_title_of_each_notification_of_a_change_is_told(action: Action) -> None:
    rollout = new_rollout(FLAG, default_plan(NOW), now=NOW, reason="Why.")
    message = messages.change_message(messages.ChangeDetails(action, rollout, NOW, "olga", "Why.", {}))
    assert message is not None
    assert spanish(message.title) != message.title


def test_the_title_of_each_other_notification_is_told() -> None:
    who: dict[str, Any] = {"actor": "olga", "reason": "Why.", "now": NOW}
    made = (
        messages.override_message(FLAG, "credit_drift", expires_at=NOW, **who),
        messages.override_request_message(FLAG, "credit_drift", until=NOW, **who),
        messages.no_data_message(FLAG, 1, "credit_drift", since=NOW),
        messages.undelivered_message(1, FLAG, "Why.", label="ops"),
        messages.concern_message(FLAG, 1, verdict(), incident_sentence(verdict(), CREDITS)),
    )
    for message in made:
        assert spanish(message.title) not in (message.title, stored_sentence(message.title))


def verdict(cause: str = "Over its threshold, and v2 alone is to blame.", bar: float | None = 2.8) -> Verdict:
    return Verdict(
        alert="credit_variance",
        status=Status.ROLLBACK,
        cause=cause,
        at=NOW,
        attribution=Attribution.CANDIDATE_ONLY,
        counts=Counts(30, 9000),
        window=Counts(26, 7010),
        window_seconds=300.0,
        threshold=0.001,
        threshold_text="0.1%",
        evidence_log10=5.0,
        rollback_log10=bar,
    )


@pytest.mark.parametrize("bar", [2.8, None])
def test_the_reason_of_a_rollback_is_told_with_its_figures(bar: float | None) -> None:
    made = verdict(bar=bar)
    said = f"{made.alert}: {incident_sentence(made, CREDITS)} 3 users are owed 1,207 credits so far. {made.reason}"
    told = spanish(said)
    assert told.startswith("Discrepancia de créditos: v2 respondió")
    assert "Hasta ahora se deben 1\u202f207 créditos a 3 usuarios." in told
    assert "26 de 7\u202f010 (0,371\u202f%) en los últimos 5\u202fmin" in told
    assert "0,1\u202f%" in told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Bad were 26 of 7,010 (0.371%) in the last 5m and 3 of 9 (33.3%) since the attempt began; allowed are 1%.",
            "Fueron erróneas 26 de 7\u202f010 (0,371\u202f%) en los últimos 5\u202fmin",
        ),
        ("Evidence 10^5.0; a rollback takes 10^2.8.", "Evidencia 10^5,0"),
    ],
)
def test_what_older_entries_of_the_trail_say_is_told(said: str, told: str) -> None:
    assert spanish(said).startswith(told)


@pytest.mark.parametrize("number", ["All 1,050", "7 of 1,050"])
@pytest.mark.parametrize("part", ["of plan starter", "of kind roast", "of account u-1", "near the limit"])
@pytest.mark.parametrize(
    "predicate",
    [
        *("failed in {candidate}", "failed where {candidate} served them", "were answered differently by {candidate}"),
        *cohort_verdicts.PREDICATES.values(),
        cohort_verdicts.BY_ITSELF,
    ],
)
def test_what_happened_to_a_part_of_the_traffic_is_told(number: str, part: str, predicate: str) -> None:
    predicate = predicate.format(candidate="v2", control="legacy", alert="credit_drift")
    told = spanish(f"credit_drift: {number} operations {part} {predicate}. {cohort_verdicts.TELLS}")
    assert told.startswith("Desviación de créditos: ")
    assert told.endswith("Así que esto solo avisa.")
    assert not re.search(r"\b(of|near|were|by|in)\b", told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (cohort_verdicts.CONTROL_TOO.format(control="Legacy"), "Legacy también falla ahí"),
        ("Stripe made invoice.paid, and no delivery brought it.", "Stripe creó invoice.paid"),
        ("v2 served 1,049 operations of 41 users during the incident; 4 accounts are owed credits.", "v2 atendió 1"),
        ("Invoice in_1 is paid, and we do not know.", "La factura in_1 está pagada"),
        ("Credits do not depend on charge.updated.", "Los créditos no dependen de charge.updated."),
    ],
)
def test_what_was_found_of_stripe_and_of_legacy_is_told(text: str, told: str) -> None:
    assert spanish(text).startswith(told)


@pytest.mark.parametrize(
    "text",
    ["Nobody wrote this here.", "<b>The schema</b>", "", "held", "100 % %(user)s %s", "Watched by .", "x" * 3000],
)
def test_what_is_not_ours_stands_as_it_was_written_and_is_marked(text: str) -> None:
    with use_language("es"):
        found = localized(text)
    assert found == Markup('<span lang="en">{}</span>').format(text)
    assert "<b>" not in found
    assert localized(text) == text


@given(st.sampled_from(WRITTEN), st.lists(st.text("abc 1,.%()s:", min_size=1, max_size=9), min_size=9, max_size=9))
def test_whatever_stands_in_a_sentence_it_is_told_or_marked_and_never_fails(message: str, values: list[str]) -> None:
    text = message
    for value in values:
        name = text.partition("%(")[2].partition(")s")[0]
        text = text.replace(f"%({name})s", value, 1) if name else text
    with use_language("es"):
        assert localized(text)


def test_english_is_as_it_was_written() -> None:
    assert localized("credit_drift: Watched by 1,000 of 0.1%.") == "Credit drift: Watched by 1\u202f000 of 0.1\u202f%."


@pytest.mark.parametrize("text", ["127.0.0.1", "1.2.3", "unleash-client-python:6.4.0", "v1.5", "10.0.0.0"])
def test_the_points_of_an_address_and_of_a_version_stay_points(text: str) -> None:
    with use_language("es"):
        assert localized_value(text) == text


def test_the_point_of_a_figure_is_a_comma_in_spanish() -> None:
    with use_language("es"):
        assert [localized_value(text) for text in ("0.5", "-1.25", "37.2%")] == ["0,5", "-1,25", f"37,2{NARROW}%"]
