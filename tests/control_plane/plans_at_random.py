"""Plans drawn at random, with every way to move, gate and answer a breach."""

from datetime import UTC, datetime, time, timedelta

from hypothesis import strategies as st

from control_plane.audiences.base import AudienceKind
from control_plane.core.calendars import Calendar, Weekday
from control_plane.core.phase_gates import AdvanceMode, Approvals, OnBreach, PhaseGates, Schedule
from control_plane.core.phases import PRE_PRODUCTION, Phase, Plan
from control_plane.core.plan_errors import plan_errors

START = datetime(2026, 3, 26, 9, 30, tzinfo=UTC)  # a Thursday; the clocks of Madrid change on Sunday
HOUR = timedelta(hours=1)
PLACES = (PRE_PRODUCTION, PRE_PRODUCTION[:1], (*PRE_PRODUCTION, "testing"))
WORKDAYS = Calendar("Europe/Madrid", tuple(Weekday)[:5], time(9), time(17))


@st.composite
def phases(draw: st.DrawFn, number: int) -> Phase:
    """Draw any phase of a plan."""
    audience = draw(st.sampled_from([each for each in AudienceKind if each is not AudienceKind.ATTRIBUTES]))
    in_environments = audience is AudienceKind.ENVIRONMENTS
    steps = (100,) if in_environments or audience is AudienceKind.ALLOWLIST else tuple(draw(STEPS))
    hours = draw(st.sets(st.integers(1, 99), min_size=1, max_size=4).map(sorted))
    times = tuple((START + HOUR * each).replace(tzinfo=None) for each in hours)
    gates = PhaseGates(
        calendar=draw(st.sampled_from((None, None, None, WORKDAYS))),
        approvals=draw(st.sampled_from((None, None, None, Approvals(1), Approvals(2)))),
    )
    return Phase(
        name=f"{audience}-{number}",
        title=audience,
        audience=audience,
        steps=steps,
        environments=draw(st.sampled_from(PLACES)) if in_environments else (),
        soak=draw(st.sampled_from((timedelta(0), timedelta(0), HOUR))),
        advance=draw(st.sampled_from((*AdvanceMode, Schedule(times, "UTC")))),
        gates=gates,
        unknown_may_be_approved=draw(st.booleans()),
        on_breach=draw(st.sampled_from(OnBreach)),
    )


STEPS = st.sets(st.sampled_from((1, 10, 25, 50, 100)), min_size=1, max_size=3).map(sorted)
PLANS = (
    st.tuples(phases(1), phases(2), phases(3), st.integers(1, 3), st.integers(-2, 2))
    .map(lambda drawn: Plan(drawn[:3][: drawn[3]], START + timedelta(days=drawn[4])))
    .filter(lambda plan: not plan_errors(plan))
)
