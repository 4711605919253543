"""Plans as files: what is written is read back the same; a mistake is named with its line and what would be right."""

import random
import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.calendars import Calendar, Freeze, Weekday
from control_plane.core.phase_gates import (
    AdvanceMode,
    Approvals,
    ApproverRole,
    HttpCheck,
    OnBreach,
    PhaseGates,
    Schedule,
)
from control_plane.core.phases import FlagType, Plan
from control_plane.core.plan_errors import plan_errors
from control_plane.plans import document
from control_plane.plans.document import InvalidPlan
from control_plane.plans.templates import TEMPLATES
from tests.properties import rollouts_at_random

NOW = datetime(2026, 8, 1, tzinfo=UTC)
GOOD = """flag: SEARCH
new_signups_after: 2026-07-01T00:00:00Z
phases:
  - name: everyone
    title: Everyone
    audience: everyone
    steps: [5, 100]
    soak: P1D
"""
LINE = st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Zs"))
TEXTS = st.text(LINE, max_size=30)
PARAGRAPHS = st.text(LINE | st.sampled_from("\n\t\x85\u2028\u2029"), max_size=30)
FIRST, LAST = (datetime.fromisoformat(f"{year}-01-01") for year in (2026, 2030))
LOCAL = st.datetimes(FIRST, LAST).map(lambda each: each.replace(second=0, microsecond=0))


@st.composite
def gates(draw: st.DrawFn) -> PhaseGates:
    """Draw any gates that a phase may ask for."""
    start = draw(LOCAL)
    freezes = (Freeze(start, start + timedelta(days=3), draw(TEXTS)),)
    calendar = Calendar("Europe/Madrid", tuple(draw(st.sets(st.sampled_from(Weekday), min_size=1))), time(9), time(17))
    roles = tuple(draw(st.sets(st.sampled_from(ApproverRole), min_size=1)))
    check = HttpCheck("ready", "https://example.org/ready?a=1", draw(st.integers(200, 599)), timedelta(minutes=2))
    return PhaseGates(
        draw(st.sampled_from((None, calendar, replace(calendar, freezes=freezes)))),
        draw(st.sampled_from((None, Approvals(draw(st.integers(1, 20)), roles)))),
        draw(st.none() | st.integers(1, 3650)),
        draw(st.none() | st.integers(1, 3650)),
        draw(st.sampled_from(((), (check,)))),
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Draw any plan without mistakes, every field of it used now and then."""
    made = rollouts_at_random.plan(random.Random(draw(st.integers(0, 10**9))))
    times = draw(st.lists(LOCAL, min_size=1, max_size=4, unique=True).map(sorted))
    phases = tuple(
        replace(
            phase,
            soak=timedelta(seconds=draw(st.integers(0, 10**7))),
            advance=draw(st.sampled_from((*AdvanceMode, Schedule(tuple(times), "UTC")))),
            gates=draw(gates()),
            on_breach=draw(st.sampled_from(OnBreach)),
            planned_start=draw(st.sampled_from((None, date(2026, 12, 7)))),
            unknown_may_be_approved=draw(st.booleans()),
            users_maximum=draw(st.none() | st.integers(0, 10**9)),
        )
        for phase in made.phases
    )
    tags = tuple(draw(st.sets(TEXTS.filter(lambda tag: tag.strip() and tag.isprintable()), max_size=3)))
    made = replace(made, phases=phases, tags=tags, notify=draw(st.sampled_from(((), ("payments", "on-call")))))
    made = replace(made, contacts=draw(st.sampled_from(((), ("Support: Ana, Luis", "On call")))))
    return replace(made, description=draw(PARAGRAPHS), owner=draw(TEXTS), type=draw(st.sampled_from(FlagType)))


@settings(max_examples=40)
@given(plans())
def test_what_is_written_is_read_back_the_same_and_fits_the_schema(plan: Plan) -> None:
    assert not plan_errors(plan)
    written = document.to_yaml(plan, "SEARCH")
    read = document.parse(written)
    assert (read.flag, read.plan) == ("SEARCH", plan)
    assert document.to_yaml(read.plan, read.flag) == written
    assert document.from_value(document.to_value(plan)).plan == plan
    jsonschema.validate(document.to_value(plan, "SEARCH"), document.schema())


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_can_be_run_and_each_copy_is_its_own(name: str) -> None:
    made = TEMPLATES[name].make(NOW)
    assert plan_errors(made) == []
    assert document.parse(document.to_yaml(made)).plan == made == TEMPLATES[name].make(NOW)
    assert TEMPLATES[name].description.endswith(".")


def test_the_times_of_day_and_days_that_people_write_are_taken_as_they_stand() -> None:
    hours = "zone: Europe/Madrid, opens: 09:00, closes: 17:00"
    calendar = f"    gates: {{calendar: {{{hours}, freezes: [{{starts: 2026-12-19, until: 2027-01-07}}]}}}}\n"
    found = document.parse(GOOD + calendar + "    advance: {at: 2026-12-07T09:00, zone: Europe/Madrid}\n").plan
    asked = found.phases[0].gates.calendar
    assert asked is not None
    assert (asked.opens, asked.closes) == (time(9), time(17))
    assert asked.freezes[0].until == datetime.fromisoformat("2027-01-07T00:00")
    assert found.phases[0].advance == Schedule((datetime.fromisoformat("2026-12-07T09:00"),), "Europe/Madrid")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (GOOD + "    sook: P1D\n", "Line 9, phases.0.sook: is no field here; did you mean soak."),
        (
            GOOD.replace("everyone\n    steps", "nobody\n    steps"),
            "Line 6, phases.0.audience: There is no audience 'nobody'",
        ),
        (GOOD.replace("P1D", "soon"), "Line 8, phases.0.soak: is no duration; write one like P7D"),
        (GOOD.replace("P1D", "7"), "Line 8, phases.0.soak: is no duration; write one like P7D"),
        (GOOD.replace("P1D", "false"), "Line 8, phases.0.soak: is no duration; write one like P7D"),
        (GOOD.replace("P1D", "'7'"), "Line 8, phases.0.soak: is no duration; write one like P7D"),
        (GOOD.replace("[5, 100]", "[true, 100]"), "Line 7, phases.0.steps.0: is no whole number."),
        (GOOD.replace("2026-07-01T00:00:00Z", "20260701"), "Line 2, new_signups_after: is no date or time"),
        (GOOD + "    planned_start: 86400\n", "Line 9, phases.0.planned_start: is no date or time"),
        (GOOD + "    advance: {at: '1796601600'}\n", "Line 9, phases.0.advance.at.0: is no date or time"),
        (GOOD + "    advance: {at: 2026-12-07T09:00, zone: localtime}\n", "localtime is another zone on each machine"),
        (GOOD + f"    users_maximum: {'9' * 5000}\n", "Line 9, plan: A number has more than 4,000 digits."),
        (GOOD + "    served_minimum: -5\n", "served_minimum is 0 to"),
        (GOOD.replace("[5, 100]", "5"), "Line 7, phases.0.steps: is no list"),
        (GOOD.replace("[5, 100]", "[5, 5.5]"), "Line 7, phases.0.steps.1: is no whole number."),
        (GOOD.replace("    soak: P1D\n", ""), "Line 4, phases.0.soak: is missing; add it."),
        (
            GOOD + "    advance: weekly\n",
            "Line 9, phases.0.advance: is not allowed; write 'by_hand' or 'when_gates_open'.",
        ),
        (GOOD + "    advance: {at: 2026-12-07T09:00Z}\n", "Line 9, phases.0.advance.at.0: takes a local time"),
        (
            GOOD + "    advance: {at: 2026-12-07T09:00, zone: Europe/Madird}\n",
            "Line 9, phases.0.advance.zone: 'Europe/Madird' is no time zone",
        ),
        (GOOD + "    advance: {at: 2026-03-29T02:30, zone: Europe/Madrid}\n", "does not exist in Europe/Madrid"),
        (
            GOOD + "    gates: {calendar: {days: [montag]}}\n",
            "Line 9, phases.0.gates.calendar.days.0: is not allowed; write 'monday'",
        ),
        (
            GOOD + "    gates: {calendar: {opens: 9}}\n",
            "Line 9, phases.0.gates.calendar.opens: a time of day is written in quotes",
        ),
        (GOOD + "    gates: {http_checks: [{name: a, url: 'ftp://x/'}]}\n", "'ftp://x/' is no address"),
        (GOOD + "    gates: {http_checks: [{name: a, url: 'https://me:secret@x/'}]}\n", "holds a name or password"),
        (GOOD + "    planned_start: soon\n", "Line 9, phases.0.planned_start: is no date or time"),
        (GOOD + "    steps: [1]\n", "Line 9, plan: steps stands here twice; keep one."),
        ("a: &x 1\nb: *x\n", "Line 2, plan: Write the value again instead of an alias."),
        ("phases: [", "is not valid YAML"),
        ("", "begin with `phases:`"),
        ("- 1\n", "begin with `phases:`"),
        ("x: " + "[" * 5000, "nested too deeply"),
        ("[" + "?," * 90_000 + "]", "too many values"),
        ("- 1\n" * 49_999, "too many values"),
        ("a: !!python/object:os.system x\n", "YAML"),
        (GOOD.replace("5, 100", "100, 5"), "steps must ascend"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_would_be_right(text: str, mistake: str) -> None:
    with pytest.raises(InvalidPlan, match=re.escape(mistake)):
        document.parse(text)


CALENDAR = "    gates: {calendar: {zone: Asia/Tokyo, opens: %s}}\n"
CHECKLIST = "checklists: [{name: %s, title: C, %s, items: [{name: i, title: I}]}]\n"


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ("description: !!bool maybe\n", "leave out the tag"),
        ("description: !!float ''\n", "leave out the tag"),
        ("description: !!timestamp soon\n", "leave out the tag"),
        ('description: "\\0"\n', "can't be stored"),
        ('"\\ud800": x\n', "can't be stored"),
        (CALENDAR % '"09:00+02:00", closes: "17:00"', "leave out the offset"),
        (CALENDAR % '"09:00Z"', "leave out the offset"),
        ("    advance: {at: 9999-12-31T23:59:59, zone: America/New_York}\n", "no date at which anything could move"),
        ("    advance: {at: 0001-01-01T00:00:00, zone: Asia/Tokyo}\n", "no date at which anything could move"),
        (f"    users_maximum: {'9' * 400}\n", "a cap is 0 to"),
        ("    environments: ['']\n", "an environment has a name"),
        (CHECKLIST % ("c", "after_complete: P999999D"), "longer than 3650 days"),
        (CHECKLIST % ("a/b", "phases: [everyone]"), "without /"),
        (CHECKLIST % ("x" * 5000, "phases: [everyone]"), "a name of 1 to 100 characters"),
    ],
)
def test_what_would_break_pages_and_jobs_later_is_refused_now(more: str, sentence: str) -> None:
    with pytest.raises(InvalidPlan, match=re.escape(sentence)):
        document.parse(GOOD + more)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_cut_over_that_no_clock_shows_is_refused(instant: str) -> None:
    with pytest.raises(InvalidPlan, match="every time zone has"):
        document.parse(GOOD.replace("2026-07-01T00:00:00Z", instant))


def test_every_mistake_is_named_at_once() -> None:
    with pytest.raises(InvalidPlan) as found:
        document.parse(GOOD.replace("P1D", "soon").replace("[5, 100]", "5") + "    sook: 1\n")
    assert [each.line for each in found.value.mistakes] == [7, 8, 9]


@pytest.mark.parametrize("text", ["1e3", "on", "17:00", "2026-12-07", "null", "0x1f", "1_000", "=", "- a", "a: b", "#"])
def test_a_text_that_looks_like_something_else_stays_text(text: str) -> None:
    plan = replace(document.parse(GOOD).plan, owner=text)
    assert document.parse(document.to_yaml(plan)).plan == plan


def test_a_difference_is_told_line_by_line() -> None:
    plan = document.parse(GOOD).plan
    changed = replace(plan, owner="alice")
    assert document.diff(plan, plan) == []
    assert "+owner: alice" in document.diff(plan, changed)
