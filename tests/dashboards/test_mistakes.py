"""Mistakes in a form are named with their field, in the language of the page."""

from typing import Annotated

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from control_plane.platform.problems import Problem
from dashboards.language import use_language
from dashboards.mistakes import TYPES, mistakes_of


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=2, max_length=4, pattern="^[a-z]+$")] = "ab"
    count: Annotated[int, Field(ge=1, le=9)] = 1
    below: Annotated[int, Field(lt=5)] = 1
    on: bool = True
    many: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    inner: dict[str, int] = {}
    at: AwareDatetime | None = None


FAULTS: list[tuple[dict[str, object], str]] = [
    ({"name": "a"}, "name: se necesitan al menos 2 caracteres."),
    ({"name": "abcde"}, "name: se admiten como máximo 4 caracteres."),
    ({"name": "A1"}, "name: contiene caracteres que no se pueden usar."),
    ({"name": 1}, "name: se necesita un texto."),
    ({"count": "x"}, "count: se necesita un número entero."),
    ({"count": 1.5}, "count: se necesita un número entero."),
    ({"count": None}, "count: se necesita un número entero."),
    ({"count": 0}, "count: lo mínimo es 1."),
    ({"count": 10}, "count: lo máximo es 9."),
    ({"below": 5}, "below: tiene que ser menor que 5."),
    ({"on": "maybe"}, "on: se necesita sí o no."),
    ({"on": None}, "on: se necesita sí o no."),
    ({"many": 7}, "many: se necesita una lista."),
    ({"many": []}, "many: se necesitan al menos 1 entradas."),
    ({"many": [1, 2, 3]}, "many: se admiten como máximo 2 entradas."),
    ({"inner": 7}, "inner: se necesita un objeto."),
    ({"at": "2026-01-01T00:00:00"}, "at: se necesita un instante con su zona horaria."),
    ({"more": 1}, "more: no existe ese campo; quítelo."),
]


def refusal(given: dict[str, object]) -> ValidationError:
    with pytest.raises(ValidationError) as found:
        Form.model_validate(given)
    return found.value


@pytest.mark.parametrize(("given", "sentence"), FAULTS)
def test_a_mistake_is_told_in_spanish_and_in_english_as_pydantic_has_it(
    given: dict[str, object], sentence: str
) -> None:
    (error,) = refusal(given).errors()
    assert mistakes_of(refusal(given)) == [f"{error['loc'][0]}: {error['msg']}"]
    with use_language("es"):
        assert mistakes_of(refusal(given)) == [sentence]


def test_each_type_that_has_a_sentence_is_one_of_pydantics() -> None:
    tried = {error["type"] for given, _ in FAULTS for error in refusal(given).errors()}
    assert TYPES.keys() - tried == {"missing"}


def test_what_has_no_field_is_one_sentence() -> None:
    assert mistakes_of(Problem(422, "REASON_REQUIRED", "Say why: a reason is required.")) == [
        "Say why: a reason is required."
    ]
    listed = Problem(400, "INVALID_DEFINITION", "No.", errors=[{"field": "a", "message": "B."}])
    assert mistakes_of(listed) == ["a: B."]
