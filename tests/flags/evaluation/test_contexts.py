"""Contexts as callers send them, and as evaluation gets them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from flags.evaluation.contexts import Context, KnownAttributes, enrich_context, from_fields, from_nested

SIGNED_UP = datetime(2026, 7, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
KNOWN = KnownAttributes("pro", SIGNED_UP, beta=True)


@pytest.mark.parametrize(
    ("fields", "context"),
    [
        ({}, Context()),
        ({"userId": "7"}, Context("7")),
        ({"userId": 7}, Context("7")),
        ({"userId": ""}, Context()),
        ({"userId": None, "sessionId": ["x"]}, Context()),
        ({"plan": "pro", "age": 7, "beta": True}, Context(properties={"plan": "pro", "age": "7", "beta": "true"})),
        ({"environment": "staging"}, Context()),
        ({"signupDate": "2026-07-01"}, Context(properties={"signupDate": "2026-07-01T00:00:00.000Z"})),
        ({"signupDate": "2026-07-01T02:00:00+02:00"}, Context(properties={"signupDate": "2026-07-01T00:00:00.000Z"})),
        ({"signupDate": "yesterday"}, Context(properties={"signupDate": "yesterday"})),
        ({"currentTime": "2026-07-01T00:00:00"}, Context(current_time="2026-07-01T00:00:00.000Z")),
    ],
)
def test_whatever_a_caller_sends_is_text_in_the_spelling_that_engines_read(
    fields: dict[str, Any], context: Context
) -> None:
    assert from_fields(fields) == context


def test_properties_may_be_nested_and_beside_but_never_become_fields() -> None:
    nested = from_nested({"userId": "7", "plan": "pro", "properties": {"userId": "8", "size": 3}})
    assert nested == Context("7", properties={"plan": "pro", "size": "3"})
    assert from_nested({"properties": "odd"}) == Context()


def test_nothing_is_cut_that_an_sdk_would_evaluate() -> None:
    context = from_fields({"userId": "7" * 2000, **{f"p{number}": "x" * 5000 for number in range(500)}})
    assert (len(context.properties), len(context.properties["p499"])) == (500, 5000)
    assert context.user_id == "7" * 2000


def test_the_directory_outweighs_a_caller_unless_trusted() -> None:
    said = from_fields({"userId": "7", "plan": "free", "signupDate": "2020-01-01", "beta": "false", "country": "DE"})
    ours = enrich_context(said, KNOWN, ())
    assert ours.properties == {
        "plan": "pro",
        "beta": "true",
        "signupDate": "2026-07-01T12:00:00.000Z",
        "country": "DE",
    }
    assert ours.signed_up_at == SIGNED_UP
    assert enrich_context(said, KNOWN, ("plan",)).properties["plan"] == "free"
    assert enrich_context(said, KNOWN, ("plan",)).properties["beta"] == "true"


def test_what_nobody_knows_and_nobody_may_claim_is_left_out() -> None:
    said = from_fields({"userId": "7", "plan": "free", "country": "DE"})
    assert enrich_context(said, None, ()).properties == {"country": "DE"}


def test_an_engine_gets_the_environment_and_always_a_time() -> None:
    document = Context("7", properties={"plan": "pro"}).to_json("staging", NOW)
    assert document == {
        "userId": "7",
        "currentTime": "2026-11-22T10:00:00.000Z",
        "environment": "staging",
        "properties": {"plan": "pro"},
    }
    said = Context("7", current_time="2026-01-01T00:00:00.000Z").to_json("staging", NOW)
    assert said["currentTime"] == "2026-01-01T00:00:00.000Z"
