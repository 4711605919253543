"""What a variance says, in a sentence for people who do not know the journal's words. Pure."""

from collections.abc import Mapping

from dashboards.language import N_, gettext

CLASSES: Mapping[str, str] = {
    "policy": N_("Both engines are right by their own rules, and the rules differ."),
    "defect": N_("One engine contradicts its own figures."),
    "shadow_error": N_("The shadow failed; the caller had the other engine's answer."),
    "shadow_shed": N_("The shadow was not asked, to spare the caller the wait."),
    "served_error": N_("The serving engine failed, so there is nothing to compare."),
}
POLICIES: Mapping[str, str] = {
    "limit_table": N_("the limits of the plan differ"),
    "window": N_("the periods begin and end at other times"),
    "state": N_("only one lets the account consume"),
}
FAULTS: Mapping[str, str] = {
    "charge": N_("charged another amount than was asked for"),
    "used": N_("counted from a figure that is not in its book"),
    "limit": N_("held another limit than its book's"),
    "period": N_("counted in another period than its book's"),
    "arithmetic": N_("allowed what does not fit, or refused what does"),
    "state": N_("ignored whether the account may consume"),
    "remaining": N_("named a remainder that does not add up"),
}
"""What `comparison.contradictions` calls a fault, as what an engine did."""


def cause_sentence(variance: str, cause: str) -> str:
    """Say what explains a variance; a cause that is no word of ours, such as an error's, stands as it is."""
    if variance == "policy" and cause.startswith("policy:"):
        return f"{_policies(cause.removeprefix('policy:'))}."
    if variance == "defect":
        return _defect(cause)
    about = gettext(CLASSES[variance]) if variance in CLASSES else ""
    return f"{about} {cause}".strip()


def _policies(text: str) -> str:
    # `|` separates what each suffices, `+` what is needed together.
    found = [gettext(" and ").join(_known(POLICIES, name) for name in each.split("+")) for each in text.split("|")]
    joined = gettext(", or ").join(found)
    return joined[:1].upper() + joined[1:]


def _defect(cause: str) -> str:
    by_engine: dict[str, list[str]] = {}
    for word in cause.split():
        engine, colon, fault = word.partition(":")
        if colon:
            by_engine.setdefault(engine, []).append(_known(FAULTS, fault))
    if not by_engine:
        return gettext("The answers differ, and no rule explains it.")
    conjunction = gettext(" and ")
    return " ".join(f"{engine} {conjunction.join(faults)}." for engine, faults in by_engine.items())


def _known(table: Mapping[str, str], word: str) -> str:
    return gettext(table[word]) if word in table else word
