"""Which segment a phase can have, by name and environment, and what is said where it can have none."""

import pytest

from control_plane.audiences.constraint import Constraint, Operator
from control_plane.audiences.segment import Segment, UnusableSegmentError, chosen_segment, is_same

PRO = Constraint("plan", Operator.IN, ("pro",))
EU = Constraint("region", Operator.IN, ("eu", "uk"))
STORED = (
    Segment("production", "beta-customers", (PRO,)),
    Segment("production", "twice", (PRO,)),
    Segment("production", "twice", (EU,)),
    Segment("production", "nights", (PRO,), refusal="currentTime describes a request, not a customer."),
    Segment("staging", "testers", (EU,)),
    Segment("qa", "testers", (EU,)),
)


@pytest.mark.parametrize(
    ("environment", "name", "sentence"),
    [
        (
            "production",
            "beta-customer",
            "names no segment of production; did you mean beta-customers.",
        ),
        ("production", "x", "names no segment of production; there are beta-customers, twice."),
        ("production", "twice", "names one of 2 segments of production with this name; rename the others."),
        (
            "production",
            "nights",
            (
                "names a segment that can't be an audience: currentTime describes a request, not a customer. "
                "Name another one, or write constraints."
            ),
        ),
        (
            "production",
            "testers",
            (
                "names a segment of qa and staging, which production does not have; make it there too, or write "
                "constraints."
            ),
        ),
        (
            "demo",
            "x",
            "names no segment of demo, which has none to be named; make one, or write constraints.",
        ),
    ],
)
def test_a_segment_that_no_phase_can_have_is_refused_with_what_is_known(
    environment: str, name: str, sentence: str
) -> None:
    with pytest.raises(UnusableSegmentError) as refused:
        chosen_segment(STORED, environment, name)
    assert str(refused.value) == sentence


def test_a_long_list_of_segments_is_cut() -> None:
    many = [Segment("production", f"s{number:02}", (PRO,)) for number in range(12)]
    with pytest.raises(UnusableSegmentError, match=r"there are s00, .*, s09 and 2 more\.$"):
        chosen_segment(many, "production", "unlike")


def test_each_environment_has_segments_of_its_own() -> None:
    assert chosen_segment(STORED, "staging", "testers") == STORED[4]


def test_conditions_in_another_order_are_the_same() -> None:
    assert is_same((PRO, EU), (Constraint("region", Operator.IN, ("uk", "eu")), PRO))
    assert not is_same((PRO, EU), (PRO,))
    assert not is_same((PRO,), (Constraint("plan", Operator.IN, ("pro", "team")),))
