"""Segments of an import under a number that another segment has here, which flags outside of the import refer to."""

from sqlalchemy.orm import Session

from flags import store
from flags.administration.segments import segment_ids
from flags.unleash.canonical import CONFIRM, Definitions, is_placeholder
from flags.unleash.compiler import Wire


def segment_clashes(session: Session, environment: str, taken: Definitions) -> dict[str, str]:
    """Return why segments can't be taken without a yes, nor features that need them, by the name of each.

    Whoever is in the other flags would change with the segment, and nothing in the import says so.
    """
    stored = {wire["id"]: wire for wire in store.segments(session, environment) if not is_placeholder(wire)}
    others = _users(session, environment, {wire["name"] for wire in taken.features})
    found: dict[str, str] = {}
    for wire in taken.segments:
        number = wire["id"]
        if number not in stored or is_placeholder(wire) or number not in others:
            continue
        if wire["constraints"] != stored[number]["constraints"]:
            found[f"segment {number}"] = (
                f"Segment {number} is {stored[number]['name']!r} here, which {others[number]} refers to. {CONFIRM}"
            )
    for feature in taken.features:
        needed = [number for number in segment_ids(feature) if f"segment {number}" in found]
        if needed:
            found[feature["name"]] = f"It needs segment {needed[0]}, which is refused."
    return found


def _users(session: Session, environment: str, without: set[str]) -> dict[int, str]:
    """Return by segment the first flag that refers to it and is not among those."""
    features: list[Wire] = [each for each in store.definitions(session, environment) if each["name"] not in without]
    return {number: feature["name"] for feature in reversed(features) for number in segment_ids(feature)}
