"""A plan as a document: read from YAML or JSON, written back, described by a JSON Schema. One model for all. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches, unified_diff

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from control_plane.audiences.constraint import Constraint
from control_plane.audiences.exposure import PRODUCTION
from control_plane.audiences.segment import Segments, no_segments
from control_plane.core.calendars import Calendar, Freeze
from control_plane.core.checklist import Checklist, ChecklistItem
from control_plane.core.phase_gates import Approvals, HttpCheck, PhaseGates, Schedule
from control_plane.core.phases import Phase, Plan
from control_plane.core.plan_errors import plan_errors
from control_plane.plans import yaml_text
from control_plane.plans.segment_conditions import CONSTRAINTS, SEGMENT, with_conditions
from control_plane.plans.yaml_text import MalformedYAML, Place
from control_plane.rollout_names import environment_of, flag_of, rollout_name

PLAN = TypeAdapter(Plan)
FLAG = "flag"
ENVIRONMENT = "environment"
MODELS: tuple[type, ...] = (
    *(Plan, Phase, Constraint, Checklist, ChecklistItem),
    *(PhaseGates, Approvals, Schedule, HttpCheck, Calendar, Freeze),
)
KNOWN = sorted({field.name for model in MODELS for field in fields(model)})
SENTENCES = {
    "missing": "is missing; add it.",
    "time_delta_parsing": "is no duration; write one like P7D, PT12H or P1DT6H.",
    "time_delta_type": "is no duration; write one like P7D, PT12H or P1DT6H.",
    "int_type": "is no whole number.",
    "int_parsing": "is no whole number.",
    "int_from_float": "is no whole number.",
    "tuple_type": "is no list; write [a, b], or a line with a dash for each.",
    "dataclass_type": "is no group of fields.",
    "string_type": "is no text; put it in quotes.",
    "timezone_naive": "takes a local time; leave out the offset.",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing wrong with a document: where it stands, and what would be right."""

    place: str
    sentence: str
    line: int | None = None

    def __str__(self) -> str:
        where = f"Line {self.line}, {self.place}" if self.line else self.place
        return f"{where}: {self.sentence}"


class InvalidPlan(ValueError):  # noqa: N818 - it carries every mistake, not one error
    """The document is no plan; `mistakes` are all that is wrong with it."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__(" ".join(map(str, mistakes)))
        self.mistakes = mistakes


@dataclass(frozen=True, slots=True)
class PlanDocument:
    """A plan, and the flag it is for where the document names one."""

    flag: str | None
    plan: Plan


def parse(text: str, rollout: str | None = None, segments: Segments = no_segments) -> PlanDocument:
    """Return the plan in YAML or JSON, for `rollout` where its name is known. Raises InvalidPlan with every mistake.

    A phase that names a segment has the conditions that the segment of the plan's environment has now.
    """
    try:
        value, lines = yaml_text.load(text)
    except MalformedYAML as broken:
        raise InvalidPlan([Mistake("plan", str(broken), broken.line)]) from broken
    return from_value(value, rollout, segments, lines)


def from_value(
    value: object,
    rollout: str | None = None,
    segments: Segments = no_segments,
    lines: Mapping[Place, int] | None = None,
) -> PlanDocument:
    """Return the plan in a value of JSON, as `parse` does. Raises InvalidPlan with every mistake."""
    lines = lines or {}
    if not isinstance(value, Mapping):
        raise InvalidPlan([Mistake("plan", "is no group of fields; begin with `phases:`.", lines.get(()))])
    flag = value.get(FLAG)
    if flag is not None and not isinstance(flag, str):
        raise InvalidPlan([Mistake(FLAG, "is no text; put it in quotes.", lines.get((FLAG,)))])
    environment = environment_of(rollout or flag or "") or value.get(ENVIRONMENT) or PRODUCTION
    filled, unusable = with_conditions(value, str(environment), segments)
    mistakes = [Mistake(".".join(map(str, place)), sentence, lines.get(place)) for place, sentence in unusable.items()]
    try:
        plan = PLAN.validate_python({name: each for name, each in filled.items() if name != FLAG})
    except ValidationError as error:
        mistakes += [_mistake(each, lines) for each in error.errors(include_url=False)]
        raise InvalidPlan(_specific(mistakes)) from error
    except (OverflowError, RecursionError) as error:
        raise InvalidPlan([Mistake("plan", f"can't be read: {error}.")]) from error
    # What lacks its conditions would be told to have too few of them.
    if mistakes := mistakes or [Mistake("plan", sentence) for sentence in plan_errors(plan)]:
        raise InvalidPlan(mistakes)
    return PlanDocument(flag, plan)


def of_rollout(name: str, plan: Plan) -> tuple[str, Plan]:
    """Return the name of the rollout that is meant, and its plan, where either of them names the environment."""
    environment = environment_of(name)
    if environment is None:
        return rollout_name(name, plan.environment), plan
    return name, plan if plan.is_of_one_environment else replace(plan, environment=environment)


def to_value(plan: Plan, flag: str | None = None) -> dict[str, object]:
    """Return the plan as JSON has it, without what is as it would be anyway; `flag` is the rollout's name.

    Of a segment it has the name alone: where it is applied, that installation's conditions count.
    """
    named: dict[str, object] = {FLAG: flag_of(flag)} if flag else {}
    if plan.is_of_one_environment:
        named[ENVIRONMENT] = plan.environment
    phases = tuple(replace(each, constraints=()) if each.segment else each for each in plan.phases)
    return named | _dump(replace(plan, phases=phases))


def to_yaml(plan: Plan, flag: str | None = None) -> str:
    """Return the plan as YAML that `parse` reads as the same plan."""
    return yaml_text.dump(to_value(plan, flag))


def without_segments(plan: Plan) -> Plan:
    """Return the plan with conditions of its own in the place of the segments that they were taken from."""
    return replace(plan, phases=tuple(replace(each, segment="") for each in plan.phases))


def schema() -> dict[str, object]:
    """Return the JSON Schema of a document."""
    found = PLAN.json_schema()
    found["$defs"]["Phase"]["not"] = {"required": [SEGMENT, CONSTRAINTS]}
    found["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    found["properties"] = {FLAG: {"type": "string", "description": "The flag it is for."}, **found["properties"]}
    return found


def diff(before: Plan | None, after: Plan) -> list[str]:
    """Return what changes from one plan to the other, line by line, with the conditions of segments."""
    old, new = ("" if plan is None else yaml_text.dump(_dump(plan)) for plan in (before, after))
    return list(unified_diff(old.splitlines(), new.splitlines(), "now", "wanted", lineterm="", n=2))


def _dump(plan: Plan) -> dict[str, object]:
    written: dict[str, object] = PLAN.dump_python(plan, mode="json", exclude_defaults=True)
    return written


def _mistake(error: ErrorDetails, lines: Mapping[Place, int]) -> Mistake:
    # What pydantic calls the members of a union is no place in the document.
    place: Place = tuple(
        each for each in error["loc"] if isinstance(each, int) or each in KNOWN or each in _last(error)
    )
    near = next((place[:end] for end in range(len(place), -1, -1) if place[:end] in lines), None)
    return Mistake(".".join(map(str, place)) or "plan", _sentence(error), None if near is None else lines[near])


def _specific(mistakes: list[Mistake]) -> list[Mistake]:
    """Leave out what only says that a value is not of the other form that its field may have."""
    places = [mistake.place for mistake in mistakes]
    return [
        mistake
        for index, mistake in enumerate(mistakes)
        if mistake.place not in places[:index] and not any(each.startswith(f"{mistake.place}.") for each in places)
    ]


def _last(error: ErrorDetails) -> tuple[object, ...]:
    return error["loc"][-1:] if error["type"] in ("unexpected_keyword_argument", "extra_forbidden") else ()


def _sentence(error: ErrorDetails) -> str:
    match error["type"]:
        case "unexpected_keyword_argument" | "extra_forbidden":
            name = str(error["loc"][-1])
            close = get_close_matches(name, KNOWN, 1)
            return f"is no field here{f'; did you mean {close[0]}' if close else ''}."
        case "enum":
            return f"is not allowed; write {error['ctx']['expected']}."
        case "value_error":
            return str(error["ctx"]["error"])
        case kind if kind.startswith(("datetime", "date_", "time_")) and kind not in SENTENCES:
            return "is no date or time; write 2026-12-07, 2026-12-07T09:00 or 2026-12-07T09:00:00Z."
        case kind:
            return SENTENCES.get(kind, f"can't be used: {error['msg']}.")
