"""A constraint reads in English as an explanation has it, and in Spanish without an English word of ours."""

import pytest

from dashboards.constraint_sentences import CONDITIONS, constraint_sentence, dependency_sentence
from dashboards.language import use_language
from flags.unleash.compiler import Wire
from flags.unleash.probes import OPERATORS, constraint_text, dependency_text


def constraint(operator: str = "IN", *, inverted: bool = False, **given: object) -> Wire:
    return {"contextName": "country", "operator": operator, "inverted": inverted, "values": ["ES", "FR"]} | given


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("operator", [*OPERATORS, "NEW_ONE"])
def test_a_condition_reads_as_in_an_explanation(operator: str, *, inverted: bool) -> None:
    wire = constraint(operator, inverted=inverted)
    assert constraint_sentence(wire) == constraint_text(wire)


@pytest.mark.parametrize(
    ("operator", "said"),
    [("IN", "country is none of"), ("NOT_IN", "country is one of"), ("REGEX", "it is not true that")],
)
def test_the_opposite_of_a_list_has_a_word_of_its_own(operator: str, said: str) -> None:
    assert constraint_sentence(constraint(operator, inverted=True)).startswith(said)


@pytest.mark.parametrize(
    "given",
    [
        {"values": [str(number) for number in range(9)]},
        {"values": []},
        {"values": ["x" * 100]},
        {"values": None, "value": "7"},
        {"values": ["100 % %(attribute)s"]},
    ],
)
def test_values_read_as_in_an_explanation(given: Wire) -> None:
    assert constraint_sentence(constraint(**given)) == constraint_text(constraint(**given))


@pytest.mark.parametrize("fields", [{}, {"enabled": False}, {"variants": ["a", "b"]}])
def test_a_dependency_reads_as_in_an_explanation(fields: Wire) -> None:
    wire = {"feature": "till", **fields}
    assert dependency_sentence(wire) == f"{dependency_text(wire)}."


def test_conditions_are_said_in_spanish() -> None:
    assert CONDITIONS.keys() == OPERATORS.keys()
    with use_language("es"):
        assert constraint_sentence(constraint()) == "country es uno de «ES», «FR»"
        assert constraint_sentence(constraint("NUM_GTE", inverted=True, value="3", values=None)) == (
            "no es cierto que country es al menos «3»"
        )
        assert dependency_sentence({"feature": "till", "enabled": False}) == "Depende de que till esté desactivado."
