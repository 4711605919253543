"""What is wrong with what a form sent, one sentence each, in the language of the page. Pure.

English is what pydantic says of a field; another language has a sentence for each type of error below.
"""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from control_plane.platform.problems import Problem
from dashboards.language import N_, SOURCE, gettext, language
from dashboards.problem_sentences import problem_sentence
from dashboards.stored_sentences import localized_text

MISTAKES_MAX = 20
NOT_A_NUMBER = N_("a whole number is needed.")
TYPES: Mapping[str, str] = {
    "missing": N_("it is missing; add it."),
    "extra_forbidden": N_("there is no such field; leave it out."),
    "string_type": N_("text is needed."),
    "string_too_short": N_("at least %(min_length)s characters are needed."),
    "string_too_long": N_("at most %(max_length)s characters are taken."),
    "string_pattern_mismatch": N_("it holds characters that can't be used."),
    "int_type": NOT_A_NUMBER,
    "int_parsing": NOT_A_NUMBER,
    "int_from_float": NOT_A_NUMBER,
    "greater_than_equal": N_("the least is %(ge)s."),
    "less_than_equal": N_("the most is %(le)s."),
    "less_than": N_("it has to be below %(lt)s."),
    "bool_type": N_("yes or no is needed."),
    "bool_parsing": N_("yes or no is needed."),
    "list_type": N_("a list is needed."),
    "dict_type": N_("an object is needed."),
    "too_short": N_("at least %(min_length)s entries are needed."),
    "too_long": N_("at most %(max_length)s entries are taken."),
    "timezone_aware": N_("an instant with its time zone is needed."),
}


def mistakes_of(refusal: Problem | ValidationError) -> Sequence[str]:
    """Return the sentences of a refusal: each field by its name, or the one detail where no field is to blame."""
    if isinstance(refusal, ValidationError):
        found = refusal.errors(include_url=False, include_input=False)
        return [f"{'.'.join(map(str, each['loc'])) or 'body'}: {_of_field(each)}" for each in found[:MISTAKES_MAX]]
    errors = refusal.members.get("errors")
    if not isinstance(errors, list):
        return [problem_sentence(refusal)]
    return [_sentence(each) for each in errors[:MISTAKES_MAX]] or [problem_sentence(refusal)]


def _of_field(error: ErrorDetails) -> str:
    if language() == SOURCE or error["type"] not in TYPES:
        return str(error["msg"])
    return gettext(TYPES[error["type"]], **error.get("ctx", {}))


def _sentence(error: Mapping[str, str]) -> str:
    return f"{error['field']}: {localized_text(error['message'])}"
