"""The page of a plan: the text that somebody edits, what is wrong with it, and what it would change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256

from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.audiences.base import KINDS, AudienceKind
from control_plane.audiences.constraint import Constraint
from control_plane.audiences.exposure import PRODUCTION
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Plan, Rollout
from control_plane.core.transitions import LOSES_USERS
from control_plane.plans import administration, document, form
from control_plane.plans.document import InvalidPlan, Mistake
from control_plane.plans.form import PlanForm
from control_plane.plans.previews import EnvironmentChange, preview
from control_plane.plans.templates import TEMPLATES, for_environment
from control_plane.rollout_names import environment_of
from control_plane.rollouts import store
from control_plane.rollouts.segments import segment_notices, segments
from control_plane.rollouts.store import PlanVersion
from dashboards.audience_sentences import conditions_sentence, segment_sentence
from dashboards.language import N_, gettext
from dashboards.problem_sentences import reason_sentence
from dashboards.stored_sentences import localized, localized_text
from dashboards.view_models.audit_entry import PROGRAM

DIGEST = "segment_digest."
"""Begins the names of the fields in which a form brings back what somebody saw."""
AUDIENCES: Mapping[str, str] = {
    AudienceKind.ENVIRONMENTS: N_("Everybody in some environments"),
    AudienceKind.ALLOWLIST: N_("The beta allowlist"),
    AudienceKind.NEW_SIGNUPS: N_("New signups"),
    AudienceKind.ATTRIBUTES: N_("Customers by their attributes"),
    AudienceKind.EVERYONE: N_("Everyone"),
}


@dataclass(frozen=True, slots=True)
class PreviewView:
    """What a plan would change, and why it would be refused."""

    now: Sequence[EnvironmentChange]
    complete: Sequence[EnvironmentChange]
    diff: Sequence[str]
    refusals: Sequence[str]
    loses: bool
    """Whether it is refused for taking the flag from users alone, which a person may confirm."""


@dataclass(frozen=True, slots=True)
class TakenConditions:
    """The conditions that a phase took from a segment, and what became of that since, in sentences."""

    phase: str
    sentence: str
    notices: Sequence[str]


@dataclass(frozen=True, slots=True)
class PlanScreen:
    """A plan being written. `rollout` is None for a flag that has none yet."""

    now: datetime
    flag: str
    text: str
    rollout: Rollout | None = None
    versions: Sequence[PlanVersion] = ()
    templates: Sequence[tuple[str, str]] = ()
    mistakes: Sequence[Mistake] = ()
    preview: PreviewView | None = None
    seen_version: int = 0
    """The version of the rollout that the text was begun from, so a preview does not hide a change by others."""
    segments: Sequence[tuple[str, str]] = ()
    """Names of the segments that a phase can have, twice each: as they are written and as they are shown."""
    taken: Sequence[TakenConditions] = ()
    segment_digests: Mapping[str, str] = field(default_factory=dict)
    """What tells the conditions of each segment that the plan names, as it would take them now, by a form's field."""

    @property
    def form(self) -> PlanForm | None:
        """The plan as fields; None where the text can't be read."""
        return form.read(self.text)

    @property
    def audiences(self) -> Sequence[tuple[str, str]]:
        """The kinds of audiences with what people call them."""
        return [(kind, gettext(AUDIENCES[kind]) if kind in AUDIENCES else kind) for kind in KINDS]

    def mistake_of(self, name: str) -> str:
        """Return what is wrong with the field of this name, or with something in it."""
        found = [each.sentence for each in self.mistakes if f"{each.place}.".startswith(f"{name}.")]
        return gettext("It %(mistake)s", mistake=localized_text(found[0])) if found else ""

    def reason_of(self, version: PlanVersion) -> str:
        """Return why a plan was made: as a person wrote it, or in the language of the page if the program did."""
        return localized(version.reason) if version.actor in PROGRAM else version.reason


def new(session: Session, flag: str, template: str, now: datetime) -> PlanScreen:
    """Return a plan for a new flag, from a template."""
    begins = now.replace(second=0, microsecond=0)
    text = ""
    if template in TEMPLATES:
        made, environment = TEMPLATES[template].make(begins), environment_of(flag)
        text = document.to_yaml(for_environment(made, environment) if environment else made)
    return PlanScreen(now, flag, text, templates=_templates(), segments=_offered(session, flag))


def read(session: Session, flag: str, now: datetime) -> PlanScreen:
    """Return the plan of a rollout as it is; raises UnknownRolloutError."""
    found = rollouts.find(session, flag)
    versions = store.plan_versions(session, flag)
    offered, taken = _offered(session, flag), _taken(session, found.plan)
    return PlanScreen(
        now,
        flag,
        document.to_yaml(found.plan),
        found,
        versions,
        segments=offered,
        taken=taken,
        segment_digests=_segment_digests(session, found.plan),
    )


def preview_text(session: Session, flag: str, text: str, change: ChangeContext, *, seen_version: int = 0) -> PlanScreen:
    """Return the plan that somebody has written, with its mistakes, or with what it would change."""
    found = store.load(session, flag) if flag else None
    versions = store.plan_versions(session, flag) if found else ()
    templates = () if found else _templates()
    offered, taken = _offered(session, flag), _taken(session, found.plan) if found else ()
    screen = PlanScreen(
        change.now, flag, text, found, versions, templates, seen_version=seen_version, segments=offered, taken=taken
    )
    try:
        flag, plan = administration.read_text(session, flag, text)
    except InvalidPlan as invalid:
        return replace(screen, mistakes=invalid.mistakes)
    shown = _preview(session, flag, found, plan, change)
    return replace(screen, preview=shown, segment_digests=_segment_digests(session, plan))


def changed_segments(plan: Plan, digests: Mapping[str, str]) -> list[str]:
    """Return the segments of the plan that are others than those that somebody saw, who saves it now."""
    named = {phase.segment: _digest(phase.constraints) for phase in plan.phases if phase.segment}
    return sorted(name for name, digest in named.items() if digests.get(f"{DIGEST}{name}", digest) != digest)


def _preview(session: Session, flag: str, before: Rollout | None, plan: Plan, change: ChangeContext) -> PreviewView:
    reasons = administration.refusals(session, flag, plan, change)
    found = preview(session, flag, before, plan, change.now)
    return PreviewView(
        now=found.now,
        complete=found.complete,
        diff=() if before is None else document.diff(before.plan, plan),
        refusals=[reason_sentence(reason) for reason in reasons],
        loses=bool(reasons) and all(reason.code == LOSES_USERS for reason in reasons),
    )


def _offered(session: Session, rollout: str) -> list[tuple[str, str]]:
    environment = environment_of(rollout) or PRODUCTION
    names = {each.name for each in segments(session) if each.environment == environment and not each.refusal}
    return [(name, name) for name in sorted(names)]


def _segment_digests(session: Session, plan: Plan) -> dict[str, str]:
    named = {(plan.environment, phase.segment) for phase in plan.phases if phase.segment}
    found = segments(session) if named else ()
    return {
        f"{DIGEST}{each.name}": _digest(each.constraints) for each in found if (each.environment, each.name) in named
    }


def _digest(constraints: tuple[Constraint, ...]) -> str:
    return sha256(repr(constraints).encode()).hexdigest()[:16]


def _taken(session: Session, plan: Plan) -> list[TakenConditions]:
    notices = segment_notices(session, plan)
    return [
        TakenConditions(
            phase.title,
            gettext(
                "Segment %(segment)s: %(conditions)s.", segment=phase.segment, conditions=conditions_sentence(phase)
            ),
            [segment_sentence(each) for each in notices if (each.phase, each.segment) == (phase.title, phase.segment)],
        )
        for phase in plan.phases
        if phase.segment
    ]


def _templates() -> list[tuple[str, str]]:
    return [(name, template.description) for name, template in TEMPLATES.items()]
