"""A constraint of a flag or a segment as a condition inside a sentence, in the language of the page. Pure."""

from collections.abc import Mapping, Sequence

from dashboards.language import N_, gettext, ngettext
from flags.unleash.compiler import Wire
from flags.unleash.probes import plain_operator

VALUES_MAX = 5
TEXT_CHARACTERS = 60
CONDITIONS: Mapping[str, str] = {
    "IN": N_("%(attribute)s is one of %(values)s"),
    "NOT_IN": N_("%(attribute)s is none of %(values)s"),
    "STR_STARTS_WITH": N_("%(attribute)s starts with %(values)s"),
    "STR_ENDS_WITH": N_("%(attribute)s ends with %(values)s"),
    "STR_CONTAINS": N_("%(attribute)s contains %(values)s"),
    "NUM_EQ": N_("%(attribute)s equals %(values)s"),
    "NUM_GT": N_("%(attribute)s is above %(values)s"),
    "NUM_GTE": N_("%(attribute)s is at least %(values)s"),
    "NUM_LT": N_("%(attribute)s is below %(values)s"),
    "NUM_LTE": N_("%(attribute)s is at most %(values)s"),
    "DATE_AFTER": N_("%(attribute)s is after %(values)s"),
    "DATE_BEFORE": N_("%(attribute)s is before %(values)s"),
    "SEMVER_EQ": N_("%(attribute)s is version %(values)s"),
    "SEMVER_GT": N_("%(attribute)s is above version %(values)s"),
    "SEMVER_GTE": N_("%(attribute)s is at least version %(values)s"),
    "SEMVER_LT": N_("%(attribute)s is below version %(values)s"),
    "SEMVER_LTE": N_("%(attribute)s is at most version %(values)s"),
    "REGEX": N_("%(attribute)s matches %(values)s"),
    "IN_CIDR": N_("%(attribute)s lies in %(values)s"),
}


def constraint_sentence(constraint: Wire) -> str:
    """Say what a constraint asks for: `country is one of “ES”, “FR”`."""
    operator, inverted = plain_operator(constraint)
    given = constraint.get("values") or ([constraint["value"]] if constraint.get("value") is not None else [])
    condition = gettext(
        CONDITIONS.get(operator, "%(attribute)s %(operator)s %(values)s"),
        attribute=constraint["contextName"],
        operator=operator,
        values=_quoted([str(value) for value in given]),
    )
    return gettext("it is not true that %(condition)s", condition=condition) if inverted else condition


def dependency_sentence(dependency: Wire) -> str:
    """Say what a flag asks of another one."""
    parent = dependency["feature"]
    if variants := dependency.get("variants"):
        names = gettext(" or ").join(map(str, variants))
        return gettext("It depends on %(flag)s giving %(variants)s.", flag=parent, variants=names)
    if dependency.get("enabled", True):
        return gettext("It depends on %(flag)s being on.", flag=parent)
    return gettext("It depends on %(flag)s being off.", flag=parent)


def _quoted(values: Sequence[str]) -> str:
    if not values:
        return gettext("nothing")
    shown = ", ".join(gettext("“%(value)s”", value=_shortened(value)) for value in values[:VALUES_MAX])
    more = len(values) - VALUES_MAX
    if more <= 0:
        return shown
    return ngettext("%(values)s and %(count)s more", "%(values)s and %(count)s more", more, values=shown, count=more)


def _shortened(text: str) -> str:
    return text if len(text) <= TEXT_CHARACTERS else f"{text[:TEXT_CHARACTERS]}…"
