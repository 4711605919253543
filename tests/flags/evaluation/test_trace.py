from datetime import UTC, datetime, timedelta, timezone

import pytest

from flags.evaluation.trace import REASON_TEXT, ReasonCode, Rule, RuleOutcome, TraceStep, describe

NOON = datetime(2026, 7, 1, 14, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize("detail", ReasonCode)
def test_every_detail_has_a_sentence_that_its_facts_complete(detail: ReasonCode) -> None:
    step = TraceStep(Rule.DEFAULT, RuleOutcome.DECIDED, detail, 37, 25, "a reason", NOON)
    sentence = describe(step)
    assert sentence[0].isupper()
    assert "{" not in sentence
    assert "None" not in sentence


def test_sentences_are_not_shared_between_details() -> None:
    assert len(set(REASON_TEXT.values())) == len(ReasonCode)


def test_instants_are_told_in_utc() -> None:
    step = TraceStep(Rule.NEW_SIGNUPS, RuleOutcome.PASSED, ReasonCode.NOT_NEW_SIGNUP, at=NOON)
    assert describe(step) == f"This user did not sign up after {NOON.astimezone(UTC):%Y-%m-%d} 12:00:00 UTC."


def test_an_override_without_an_end_names_none() -> None:
    step = TraceStep(Rule.DENIED, RuleOutcome.DECIDED, ReasonCode.DENIED, note="it {braces} its reason")
    assert describe(step) == "This user is kept out by name: it {braces} its reason"
