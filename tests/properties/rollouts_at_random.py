"""Random plans taken to random positions, and random users who ask: all that follows from one `random.Random`."""

import random
from datetime import UTC, datetime, timedelta

from control_plane.audiences.base import AudienceKind
from control_plane.audiences.constraint import DATES, LISTS, Constraint, Operator
from control_plane.audiences.exposure import PRODUCTION
from control_plane.core.phases import PRE_PRODUCTION, Phase, Plan, exposure_at, positions
from control_plane.core.plan_errors import plan_errors
from flags.evaluation.evaluator import EvaluationContext, Override, RolloutFlag
from flags.evaluation.timestamps import format_timestamp
from tests.flags.examples import CUTOVER, NOW, SECOND

MILLISECOND = timedelta(milliseconds=1)
AROUND_THE_CUTOVER = (-SECOND, -MILLISECOND, MILLISECOND * 0, MILLISECOND / 2, MILLISECOND, SECOND)
FAR_AWAY = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
SWITCHES = (*[None] * 10, True, False)
LATCHES = (*[None] * 10, "Variance above 5 %.")
LEASES = (*[None] * 5, *[NOW + SECOND] * 5, NOW)
KEY_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-."
ID_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789-_.:@|/ äßçñ日本語ключ😀\"'%{}[]\\"
ATTRIBUTES = {
    "plan": ("free", "pro", "Pro", "premium", "team", "enterprise"),
    "seats": ("1", "5", "5.0", "10", "12.5", "-3", "many"),
    "version": ("1.0.0", "1.2.3", "1.10.0", "2.0.0-rc.1", "2.0.0", "unknown"),
    "since": (*(format_timestamp(CUTOVER + timedelta(days=days)) for days in (-900, -1, 0, 1, 31)), "2026-07-02"),
    "address": ("10.0.0.1", "10.0.0.0/8", "192.168.1.7", "elsewhere"),
}
UNLIKE_A_VALUE = ("5.0", "many", "unknown", "2026-07-02", "elsewhere")
"""Attributes that customers may have and no condition may name."""
OPERATORS = {
    "plan": ("IN", "NOT", "STR", "REGEX"),
    "seats": ("NUM",),
    "version": ("SEMVER",),
    "since": ("DATE",),
    "address": ("CIDR",),
}
STEPS_MAX = 6
NAMED = 20


def plan(chance: random.Random) -> Plan:
    """Return any plan without mistakes, odd percentages included."""
    audiences = [audience for audience in AudienceKind if chance.random() < 0.8] or [AudienceKind.EVERYONE]
    cutover = CUTOVER + timedelta(milliseconds=chance.choice((0, 0.5, chance.uniform(-1e12, 1e11))))
    made = Plan(tuple(_phase(chance, audience) for audience in audiences), cutover)
    assert not plan_errors(made)
    return made


def flag(chance: random.Random, made: Plan, people: list[EvaluationContext]) -> RolloutFlag:
    """Draw a flag somewhere along the plan, in any environment, switch, latch and lease, with users by name."""
    environment = chance.choice((*[PRODUCTION] * 6, *PRE_PRODUCTION))
    return RolloutFlag(
        key="".join(chance.choices(KEY_ALPHABET, k=chance.randint(1, 30))),
        environment=environment,
        revision=1,
        exposure=exposure_at(made, chance.choice(positions(made)), environment),
        new_signups_after=made.new_signups_after,
        environment_switch=chance.choice(SWITCHES),
        latched=chance.choice(LATCHES),
        guard_expires_at=chance.choice(LEASES),
        denied=overrides(chance, people),
        allowed=overrides(chance, people),
        beta=frozenset(_some(chance, people)),
    )


def users(chance: random.Random, count: int, made: Plan) -> list[EvaluationContext]:
    """Draw users: short and long ids of any script, signed up at, around or far from the cut-over, or never."""
    return [
        EvaluationContext(_user_id(chance), _signup(chance, made.new_signups_after), properties(chance))
        for _ in range(count)
    ]


def properties(chance: random.Random) -> dict[str, str]:
    """Return some attributes of a customer, each of them absent now and then."""
    return {name: chance.choice(values) for name, values in ATTRIBUTES.items() if chance.random() < 0.8}


def constraints(chance: random.Random) -> tuple[Constraint, ...]:
    """Return one condition or two, with any operator on any attribute it can be used with."""
    return tuple(_constraint(chance) for _ in range(chance.choice((1, 1, 2))))


def overrides(chance: random.Random, people: list[EvaluationContext]) -> dict[str, Override]:
    """Overrides for some of `people`, some of them expired."""
    ends = (None, NOW - SECOND, NOW, NOW + SECOND)
    return {user_id: Override("a reason", chance.choice(ends)) for user_id in _some(chance, people)}


def sdk_context(context: EvaluationContext) -> dict[str, object]:
    """Return the context as a service gives it to an official SDK."""
    signup = {"signupDate": format_timestamp(context.signed_up_at)} if context.signed_up_at else {}
    return {"properties": {**context.properties, **signup}} | ({"userId": context.user_id} if context.user_id else {})


def _phase(chance: random.Random, audience: AudienceKind) -> Phase:
    whole = audience in (AudienceKind.ENVIRONMENTS, AudienceKind.ALLOWLIST)
    steps = (100,) if whole else tuple(sorted(chance.sample(range(1, 101), chance.randint(1, STEPS_MAX))))
    environments = tuple(chance.sample(PRE_PRODUCTION, chance.randint(1, len(PRE_PRODUCTION))))
    return Phase(
        name=audience,
        title=audience,
        audience=audience,
        steps=steps,
        soak=timedelta(0),
        environments=environments if audience is AudienceKind.ENVIRONMENTS else (),
        constraints=constraints(chance) if audience is AudienceKind.ATTRIBUTES else (),
    )


def _constraint(chance: random.Random) -> Constraint:
    operator = chance.choice(list(Operator))
    sort = "CIDR" if operator is Operator.IN_CIDR else operator.name.split("_")[0]
    name = next(name for name, sorts in OPERATORS.items() if sort in sorts)
    some = [value for value in ATTRIBUTES[name] if value not in UNLIKE_A_VALUE]
    values = chance.sample(some, chance.randint(1, 3) if operator in LISTS else 1)
    if operator is Operator.REGEX:
        values = ["^p"]
    inverted = operator not in DATES and chance.random() < 0.3
    insensitive = operator.name.startswith("STR") and chance.random() < 0.5
    return Constraint(name, operator, tuple(values), inverted, insensitive)


def _some(chance: random.Random, people: list[EvaluationContext]) -> list[str]:
    return [user.user_id for user in chance.sample(people, chance.choice((0, 1, NAMED))) if user.user_id]


def _user_id(chance: random.Random) -> str | None:
    text = "".join(chance.choices(ID_ALPHABET, k=chance.choice((1, 4, 12, 60))))
    return text.strip().rstrip("\\ ") or None


def _signup(chance: random.Random, cutover: datetime) -> datetime | None:
    match chance.randrange(5):
        case 0:
            return None
        case 1:
            return cutover + chance.choice(AROUND_THE_CUTOVER)
        case 2:
            return chance.choice(FAR_AWAY)
        case _:
            return cutover + timedelta(seconds=chance.uniform(-1, 1) * 10 ** chance.uniform(0, 8))
