import pytest

from control_plane.audiences.constraint import Constraint, Operator, contains, listed


def of(name: str, operator: str, *values: str, inverted: bool = False) -> tuple[Constraint, ...]:
    return (Constraint(name, Operator(operator), values, inverted),)


PRO, PRO_OR_TEAM = of("plan", "IN", "pro"), of("plan", "IN", "team", "pro")


def test_conditions_read_as_a_sentence() -> None:
    assert listed(PRO_OR_TEAM + of("seats", "NUM_GTE", "5")) == "plan is team or pro and seats is at least 5"
    assert listed(of("email", "STR_ENDS_WITH", "@x.org", inverted=True)) == "it is not true that email ends with @x.org"


@pytest.mark.parametrize(
    ("wider", "narrower"),
    [
        (PRO_OR_TEAM, PRO),
        (PRO, of("plan", "NOT_IN", "pro", inverted=True)),
        (PRO, PRO + of("region", "IN", "EU")),
        (of("plan", "NOT_IN", "free"), of("plan", "NOT_IN", "free", "trial")),
        (of("plan", "NOT_IN", "free"), of("plan", "IN", "trial", "free", inverted=True)),
        (of("seats", "NUM_GT", "5"), of("seats", "NUM_GT", "10")),
        (of("seats", "NUM_LTE", "10"), of("seats", "NUM_LTE", "9.5")),
        (of("seats", "NUM_GT", "10", inverted=True), of("seats", "NUM_GT", "5", inverted=True)),
        (of("since", "DATE_AFTER", "2026-01-01T00:00:00Z"), of("since", "DATE_AFTER", "2026-02-01T00:00:00+02:00")),
        ((), PRO),
    ],
)
def test_what_is_certainly_wider_is_known_and_never_the_other_way_round(
    wider: tuple[Constraint, ...], narrower: tuple[Constraint, ...]
) -> None:
    assert contains(wider, narrower)
    assert contains(narrower, wider) is (set(wider) == {*PRO} and narrower[0].inverted)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (PRO, of("tariff", "IN", "pro")),
        (of("seats", "NUM_EQ", "5"), of("seats", "NUM_EQ", "6")),
        (of("version", "SEMVER_GT", "1.2.0"), of("version", "SEMVER_GT", "1.10.0")),
        (PRO, ()),
    ],
)
def test_what_is_not_certain_is_not_claimed(one: tuple[Constraint, ...], other: tuple[Constraint, ...]) -> None:
    assert not contains(one, other)


@pytest.mark.parametrize(
    ("constraint", "mistake"),
    [
        (of("remoteAddress", "IN_CIDR", "10.0.0.0/8"), "describes a request"),
        (of("plan", "IN"), "needs a value"),
        (of("seats", "NUM_GT", "1", "2"), "takes one value, not 2"),
        (of("since", "DATE_AFTER", "yesterday"), "needs a date with its time zone"),
        (of("since", "DATE_AFTER", "2026-01-01T00:00:00Z", inverted=True), "can't be inverted"),
    ],
)
def test_a_condition_that_no_plan_can_use_says_why(constraint: tuple[Constraint, ...], mistake: str) -> None:
    assert [mistake in sentence for sentence in constraint[0].errors()] == [True]
