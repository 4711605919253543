"""The form beside the YAML: it changes what somebody changed in it and nothing else, whatever the document holds."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from control_plane.core.phases import Plan
from control_plane.plans import document, form
from control_plane.plans.templates import TEMPLATES
from tests.control_plane.plans.test_document import GOOD, plans

NOW = datetime(2026, 8, 1, tzinfo=UTC)
PHASE = "phases.0."


def submitted(yaml: str) -> dict[str, str]:
    """Return the fields that a browser sends of a form that nobody touched."""
    shown = form.read(yaml)
    assert shown is not None
    return {name: text for name, text in shown.named().items() if text is not None}


def changed(yaml: str, **texts: str) -> str:
    """Return the document after somebody wrote these texts into fields of the first phase."""
    named = {f"{PHASE}{name.replace('__', '.')}": text for name, text in texts.items()}
    return form.merge(yaml, yaml, submitted(yaml) | named)


@settings(max_examples=25)
@given(plans())
def test_a_form_that_nobody_touched_leaves_the_document_as_it_is(plan: Plan) -> None:
    yaml = f"# a comment that stays\n{document.to_yaml(plan)}"
    assert form.merge(yaml, yaml, submitted(yaml)) == yaml


@settings(max_examples=25)
@given(plans(), st.data())
def test_one_changed_field_reads_as_written_and_every_other_stays(plan: Plan, data: st.DataObject) -> None:
    yaml, other = document.to_yaml(plan), document.to_yaml(data.draw(plans()))
    before, donor = submitted(yaml), submitted(other)
    name = data.draw(
        st.sampled_from(sorted(each for each in before.keys() & donor.keys() if _is_visible(each, before)))
    )
    after = submitted(form.merge(yaml, yaml, before | {name: donor[name]}))
    assert {each: text for each, text in after.items() if not _linked(each, name)} == {
        each: text for each, text in before.items() if not _linked(each, name)
    }
    assert after[name] == donor[name]


def _is_visible(name: str, texts: dict[str, str]) -> bool:
    """Return whether a browser shows the field: times are shown only if the phase advances at times."""
    holder, advance, _field = name.partition("advance.")
    return not advance or texts[f"{holder}advance"] == "at_times"


def _linked(each: str, name: str) -> bool:
    """Return whether a field may change with another: three fields are one value, how a phase advances."""
    return each == name or ("advance" in name and each.startswith(name.partition("advance")[0] + "advance"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_template_can_be_edited_in_the_form_alone(template: str) -> None:
    shown = form.read(document.to_yaml(TEMPLATES[template].make(NOW)))
    assert shown is not None
    assert None not in shown.named().values()


def test_words_of_people_become_values_of_the_plan() -> None:
    yaml = changed(
        GOOD,
        audience="attributes",
        constraints="region IN eu, us\nplan not STR_CONTAINS free",
        steps="10 %, 50,100",
        soak="36 hours",
        planned_start="2026-09-01",
        gates__approvals="2",
        served_minimum="500",
        on_breach="step_back",
    )
    phase = document.parse(yaml).plan.phases[0]
    assert phase.steps == (10, 50, 100)
    assert phase.soak.total_seconds() == 36 * 3600
    assert [each.sentence for each in phase.constraints] == [
        "region is eu or us",
        "it is not true that plan contains free",
    ]
    assert phase.gates.approvals is not None
    assert phase.gates.approvals.quorum == 2
    assert (phase.served_minimum, phase.on_breach, str(phase.planned_start)) == (500, "step_back", "2026-09-01")
    assert document.parse(yaml).flag == "SEARCH"


@pytest.mark.parametrize(
    "written", ["36 h", "36h", "36 hours", "36\u202fh", "2160 min", "129600 s", "1 d 12 h", "1 day 12 hours", "1d12h"]
)
def test_a_length_of_time_is_written_with_a_symbol_or_a_word(written: str) -> None:
    plan = document.parse(changed(GOOD, soak=written)).plan
    assert plan.phases[0].soak.total_seconds() == 36 * 3600
    shown = form.read(document.to_yaml(plan))
    assert shown is not None
    assert shown.named()["phases.0.soak"] == "36 h"


def test_times_of_advance_come_and_go() -> None:
    timed = changed(
        GOOD, advance="at_times", advance__at="2026-12-07T09:00, 2026-12-08T09:00", advance__zone="Europe/Madrid"
    )
    schedule = document.parse(timed).plan.phases[0].advance
    assert str(schedule).count("datetime(2026, 12") == 2
    assert document.parse(changed(timed, advance="by_hand")).plan == document.parse(GOOD).plan


def test_roles_of_approvers_stay_when_their_number_changes() -> None:
    yaml = GOOD + "    gates: {approvals: {quorum: 1, roles: [approver]}, drill_days: 30}\n"
    approvals = document.parse(changed(yaml, gates__approvals="3")).plan.phases[0].gates.approvals
    assert approvals is not None
    assert (approvals.quorum, approvals.roles) == (3, ("approver",))
    assert document.parse(changed(yaml, gates__approvals="")).plan.phases[0].gates.drill_days == 30


def test_what_was_changed_in_both_is_kept_from_both() -> None:
    """The YAML got another title while the form got other steps."""
    text = GOOD.replace("title: Everyone", "title: All of them")
    merged = form.merge(text, GOOD, submitted(GOOD) | {f"{PHASE}steps": "1, 100"})
    phase = document.parse(merged).plan.phases[0]
    assert (phase.title, phase.steps) == ("All of them", (1, 100))


def test_what_a_browser_makes_of_line_breaks_is_no_change() -> None:
    yaml = changed(GOOD, audience="attributes", constraints="region IN eu\nplan IN pro")
    sent = {name: text.replace("\n", "\r\n") for name, text in submitted(yaml).items()}
    text = "# stays\n" + yaml.replace("- eu", "- us")
    assert form.merge(text, yaml.replace("\n", "\r\n"), sent) == text


def test_a_field_stays_with_its_phase_where_the_yaml_moved_lost_or_renamed_one() -> None:
    two = form.with_phase_added(GOOD)
    sent = submitted(two) | {"phases.1.title": "Last"}
    moved = form.merge(form.with_phase_moved(two, 1, -1), two, sent)
    assert [phase["title"] for phase in _phases(moved)] == ["Last", "Everyone"]
    assert [phase["title"] for phase in _phases(form.merge(form.with_phase_removed(two, 0), two, sent))] == ["Last"]
    assert form.merge(GOOD, two, sent).count("Last") == 0
    renamed = form.merge(two.replace("name: phase-2", "name: last"), two, sent)
    assert [(phase["name"], phase["title"]) for phase in _phases(renamed)][1] == ("last", "Last")


@pytest.mark.parametrize("advance", ["by_hand", "when_gates_open"])
def test_times_that_another_choice_hides_are_not_written(advance: str) -> None:
    yaml = changed(GOOD, advance=advance)
    hidden = {"advance__at": "2026-12-07T09:00", "advance__zone": "Europe/Madrid"}
    assert document.parse(changed(yaml, **hidden)).plan == document.parse(yaml).plan


def test_nonsense_in_a_field_is_written_down_for_the_plan_to_refuse() -> None:
    yaml = changed(GOOD, steps="some, 100", soak="a while", served_minimum="few")
    with pytest.raises(document.InvalidPlan) as refused:
        document.parse(yaml)
    assert {each.place for each in refused.value.mistakes} == {
        "phases.0.steps.0",
        "phases.0.soak",
        "phases.0.served_minimum",
    }


@pytest.mark.parametrize(
    "yaml",
    [
        "",
        "phases",
        "phases: {}",
        "phases: [1]",
        "a: [",
        "- a",
        "phases:\n- {name: a, gates: 3}",
        "phases: [{steps: {a: 1}}]",
    ],
)
def test_a_document_that_is_no_plan_stays_as_it_is(yaml: str) -> None:
    shown = form.read(yaml)
    fields = {} if shown is None else {name: text or "" for name, text in shown.named().items()}
    assert (
        form.merge(yaml, yaml, fields | {"phases.9.title": "x", "phases.a.b": "x", "phases.": "x", "flag": "x"}) == yaml
    )


def test_a_value_that_no_field_can_show_is_left_to_the_yaml() -> None:
    yaml = GOOD.replace("title: Everyone", 'title: "two\\nlines"') + "    planned_start: soon\n"
    shown = form.read(yaml)
    assert shown is not None
    assert (shown.phases[0]["title"], shown.phases[0]["planned_start"]) == (None, None)
    assert form.merge(yaml, yaml, {f"{PHASE}title": "x"}) == yaml


def test_phases_are_added_moved_and_removed() -> None:
    two = form.with_phase_added(GOOD.replace("name: everyone", "name: [1]"))
    assert [phase["name"] for phase in _phases(two)] == [None, "phase-2"]
    two = form.with_phase_added(GOOD)
    assert [phase["name"] for phase in _phases(two)] == ["everyone", "phase-2"]
    assert [phase["name"] for phase in _phases(form.with_phase_moved(two, 1, -1))] == ["phase-2", "everyone"]
    assert [phase["name"] for phase in _phases(form.with_phase_removed(two, 0))] == ["phase-2"]
    for index, by in ((0, -1), (1, 1), (2, -1), (-1, 1)):
        assert form.with_phase_moved(two, index, by) == two


def _phases(yaml: str) -> tuple[form.Texts, ...]:
    shown = form.read(yaml)
    assert shown is not None
    return shown.phases
