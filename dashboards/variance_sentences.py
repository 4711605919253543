"""What a variance says, in a sentence for people who do not know the journal's words. Pure."""

from collections.abc import Mapping

CLASSES: Mapping[str, str] = {
    "policy": "Both engines are right by their own rules, and the rules differ.",
    "defect": "One engine contradicts its own figures.",
    "shadow_error": "The shadow failed; the caller had the other engine's answer.",
    "shadow_shed": "The shadow was not asked, to spare the caller the wait.",
    "served_error": "The serving engine failed, so there is nothing to compare.",
}
POLICIES: Mapping[str, str] = {
    "limit_table": "the limits of the plan differ",
    "window": "the periods begin and end at other times",
    "state": "only one lets the account consume",
}
FAULTS: Mapping[str, str] = {
    "charge": "charged something else than was asked for",
    "used": "counted from a figure that is not in its book",
    "limit": "held another limit than its book's",
    "period": "counted in another period than its book's",
    "arithmetic": "allowed what does not fit, or refused what does",
    "state": "ignored whether the account may consume",
    "remaining": "named a remainder that does not add up",
}
"""What `comparison.contradictions` calls a fault, as what an engine did."""


def cause_sentence(variance: str, cause: str) -> str:
    """Say what explains a variance; a cause that is no word of ours, such as an error's, stands as it is."""
    if variance == "policy" and cause.startswith("policy:"):
        return f"{_policies(cause.removeprefix('policy:'))}."
    if variance == "defect":
        return _defect(cause)
    about = CLASSES.get(variance, "")
    return f"{about} {cause}".strip()


def _policies(text: str) -> str:
    # `|` separates what each suffices, `+` what is needed together.
    found = [" and ".join(POLICIES.get(name, name) for name in each.split("+")) for each in text.split("|")]
    joined = ", or ".join(found)
    return joined[:1].upper() + joined[1:]


def _defect(cause: str) -> str:
    by_engine: dict[str, list[str]] = {}
    for word in cause.split():
        engine, colon, fault = word.partition(":")
        if colon:
            by_engine.setdefault(engine, []).append(FAULTS.get(fault, fault))
    if not by_engine:
        return "The answers differ, and no rule explains it."
    return " ".join(f"{engine} {' and '.join(faults)}." for engine, faults in by_engine.items())
