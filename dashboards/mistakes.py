"""What is wrong with what a form sent, one sentence each. Pure."""

from collections.abc import Mapping, Sequence

from pydantic import ValidationError

from control_plane.platform.problems import Problem

MISTAKES_MAX = 20


def mistakes_of(refusal: Problem | ValidationError) -> Sequence[str]:
    """Return the sentences of a refusal: each field by its name, or the one detail where no field is to blame."""
    if isinstance(refusal, ValidationError):
        found = refusal.errors(include_url=False, include_context=False, include_input=False)
        return [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in found[:MISTAKES_MAX]]
    errors = refusal.members.get("errors")
    if not isinstance(errors, list):
        return [refusal.detail]
    return [_sentence(each) for each in errors[:MISTAKES_MAX]] or [refusal.detail]


def _sentence(error: Mapping[str, str]) -> str:
    return f"{error['field']}: {error['message']}"
