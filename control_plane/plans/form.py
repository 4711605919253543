"""A plan as a form beside its YAML: the document is the truth, and a form changes in it what somebody changed. Pure."""

from collections.abc import Mapping, MutableMapping
from copy import deepcopy
from dataclasses import dataclass

from control_plane.plans import form_fields, yaml_text
from control_plane.plans.form_fields import ABSENT, FormField
from control_plane.plans.yaml_text import MalformedYAML

PHASES, ADVANCE = "phases", "advance"
PLAN_FIELDS: tuple[FormField, ...] = (
    form_fields.text("description"),
    form_fields.text("owner"),
    form_fields.text_list("tags"),
    form_fields.choice("type", "release"),
    form_fields.text("new_signups_after", required=True),
    form_fields.text_list("notify"),
    form_fields.text_list("contacts"),
)
PHASE_FIELDS: tuple[FormField, ...] = (
    form_fields.text("title", required=True),
    form_fields.text("name", required=True),
    form_fields.text("audience", required=True),
    form_fields.text_list("environments"),
    form_fields.text("segment"),
    form_fields.constraints("constraints"),
    form_fields.whole_numbers("steps"),
    form_fields.duration("soak"),
    form_fields.day("planned_start"),
    form_fields.advance(ADVANCE),
    form_fields.text_list("advance.at", required=True),
    form_fields.text("advance.zone"),
    form_fields.whole_number("served_minimum"),
    form_fields.quorum("gates.approvals"),
    form_fields.choice("on_breach", "roll_back"),
)
NEW_PHASE = {"audience": "everyone", "steps": [10, 50, 100], "soak": "P1D"}

Texts = Mapping[str, str | None]
"""Text of each field by its name; None for one that only the YAML can show."""


@dataclass(frozen=True, slots=True)
class PlanForm:
    """What the form of a document shows."""

    plan: Texts
    phases: tuple[Texts, ...]

    def named(self) -> dict[str, str | None]:
        """Return the text of each field by its name in the form, such as `phases.0.title`."""
        of_phases = {
            f"{PHASES}.{index}.{name}": text for index, texts in enumerate(self.phases) for name, text in texts.items()
        }
        return {**self.plan, **of_phases}


def read(yaml: str) -> PlanForm | None:
    """Return the form of the document; None where it can't be read, or is no plan to be edited by a form."""
    value = _loaded(yaml)
    if value is None:
        return None
    phases = tuple({field.name: _text(field, phase) for field in PHASE_FIELDS} for phase in value[PHASES])
    return PlanForm({field.name: _text(field, value) for field in PLAN_FIELDS}, phases)


def merge(yaml: str, base: str, submitted: Mapping[str, str]) -> str:
    """Return `yaml` with the fields that differ from those of `base`, which the form was made from.

    Whoever changed only the YAML gets it back as it is, with its comments; whoever changed both gets both.
    """
    value, before, now = _loaded(yaml), read(base), read(yaml)
    if value is None or before is None or now is None:
        return yaml
    # A browser sends CRLF wherever a text has a line break.
    texts = {name: text.replace("\r\n", "\n").strip() for name, text in submitted.items()}
    shown = {name: text for name, text in before.named().items() if text is not None}
    changed = {name: texts[name] for name, text in shown.items() if texts.get(name, text) != text}
    for name, text in changed.items():
        _put(value, before, now, name, text)
    return yaml_text.dump(value) if changed else yaml


def with_phase_added(yaml: str) -> str:
    """Return the document with one more phase at its end."""
    value = _loaded(yaml)
    if value is None:
        return yaml
    names = [phase.get("name") for phase in value[PHASES]]
    number = next(each for each in range(len(names) + 1, len(names) + 1000) if f"phase-{each}" not in names)
    value[PHASES].append({"name": f"phase-{number}", "title": f"Phase {number}", **deepcopy(NEW_PHASE)})
    return yaml_text.dump(value)


def with_phase_removed(yaml: str, index: int) -> str:
    """Return the document without one of its phases."""
    return with_phase_moved(yaml, index, None)


def with_phase_moved(yaml: str, index: int, by: int | None) -> str:
    """Return the document with one phase `by` places later, or without it; as it is where there is no such place."""
    value = _loaded(yaml)
    if value is None or not 0 <= index < len(value[PHASES]):
        return yaml
    if by is not None and not 0 <= index + by < len(value[PHASES]):
        return yaml
    phase = value[PHASES].pop(index)
    if by is not None:
        value[PHASES].insert(index + by, phase)
    return yaml_text.dump(value)


def _loaded(yaml: str) -> dict[str, list[dict[str, object]]] | None:
    try:
        value, _lines = yaml_text.load(yaml)
    except MalformedYAML:
        return None
    if not isinstance(value, dict) or not isinstance(value.get(PHASES), list):
        return None
    return value if all(isinstance(phase, dict) for phase in value[PHASES]) else None


def _text(field: FormField, holder: Mapping[str, object]) -> str | None:
    return field.read(_at(holder, field.path))


def _at(holder: object, path: list[str]) -> object:
    for name in path:
        if not isinstance(holder, Mapping) or name not in holder:
            return ABSENT
        holder = holder[name]
    return holder


def _names(shown: PlanForm) -> list[str | None]:
    return [phase["name"] for phase in shown.phases]


def _put(value: dict[str, list[dict[str, object]]], before: PlanForm, now: PlanForm, name: str, text: str) -> None:
    """Write one field; of a phase that is gone, nothing becomes."""
    holder: MutableMapping[str, object] | None = value  # type: ignore[assignment]
    fields = PLAN_FIELDS
    if name.startswith(f"{PHASES}."):
        _phases, number, name = name.split(".", 2)
        index = _phase_now(int(number), _names(before), _names(now))
        holder, fields = None if index is None else value[PHASES][index], PHASE_FIELDS
    field = next(each for each in fields if each.name == name)
    if holder is not None:
        _write(holder, field.path, field.write(text, _at(holder, field.path)))


def _phase_now(index: int, before: list[str | None], now: list[str | None]) -> int | None:
    """Return where a phase of the form stands in the YAML, which may have lost, moved or renamed it meanwhile."""
    name = before[index]
    if now.count(name) == before.count(name) == 1:
        return now.index(name)
    return index if len(now) == len(before) and now[index] not in set(before) - {name} else None


def _write(holder: MutableMapping[str, object], path: list[str], written: object) -> None:
    first, *rest = path
    if rest:
        inner = holder.get(first)
        if not isinstance(inner, MutableMapping):
            # Times that are written beside another choice stay hidden in the form, and choose nothing.
            if first == ADVANCE or written is ABSENT:
                return
            inner = holder[first] = {}
        _write(inner, rest, written)
        if not inner:
            del holder[first]
    elif written is ABSENT:
        holder.pop(first, None)
    else:
        holder[first] = written
