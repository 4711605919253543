"""Reads the migrations that `alerts.yaml` declares: pairs of implementations that services run themselves. Pure.

migrations:
  ENABLE_TIERED_PRICES: {control: list, candidate: tiered, prefix: price}
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from alerts.analysis.metrics import METRICS
from alerts.definitions import value_parsers
from alerts.definitions.rule_errors import Children, RuleError, children_of
from alerts.definitions.value_parsers import FLAG_PATTERN
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import NAME_PATTERN, Migration

MIGRATIONS_MAX = 100
KEYS = ("control", "candidate", "prefix")
OUR_PREFIX = "credit"


def declared_migrations(
    top: Children, mistakes: list[RuleError], registered: Iterable[Migration]
) -> tuple[Migration, ...]:
    """Return every migration that could be read; what could not be read is added to `mistakes`."""
    if "migrations" not in top:
        return ()
    line, node = top["migrations"]
    entries = children_of(node, "migrations", mistakes)
    if len(entries) > MIGRATIONS_MAX:
        mistakes.append(RuleError(line, "migrations", f"expected at most {MIGRATIONS_MAX}, found {len(entries)}."))
    known = {each.flag: each for each in (CREDITS, *registered)}
    declared: list[Migration] = []
    for flag, (line, entry) in entries.items():
        children = children_of(entry, f"migrations.{flag}", mistakes)
        for found in _migration(flag, children, known):
            if isinstance(found, Migration):
                known[flag] = found
                declared.append(found)
                continue
            key, expected = found
            where = children[key][0] if key in children else line
            mistakes.append(RuleError(where, f"migrations.{flag}" + (f".{key}" if key else ""), expected))
    return tuple(declared)


def _migration(flag: str, children: Children, known: Mapping[str, Migration]) -> Iterator[tuple[str, str] | Migration]:
    """Yield the migration of `flag`, or (key, sentence) for each thing wrong with it."""
    before = [*_contradictions(flag, children, known)]
    if before:
        yield from before
        return
    texts = {key: value_parsers.text(children[key][1]) for key in KEYS}
    try:
        made = Migration.named(flag, **texts)
    except ValueError as error:
        yield "", str(error)
        return
    taken = {signal: other.flag for other in known.values() for signal in other.signals.all}
    shared = sorted(name for name in made.signals.all if name in taken or name in METRICS)
    if shared or texts["prefix"] == OUR_PREFIX:
        owner = taken.get(shared[0], "this program") if shared else CREDITS.flag
        yield "prefix", f"{owner} counts signals of this name already; give {flag} a prefix of its own."
        return
    yield made


def _contradictions(flag: str, children: Children, known: Mapping[str, Migration]) -> Iterator[tuple[str, str]]:
    if not re.fullmatch(FLAG_PATTERN, flag):
        yield "", f"{flag!r} is not the name of a flag; write it like ENABLE_TIERED_PRICES."
    if flag in known:
        yield "", f"{flag} is the flag of another migration already."
    for key in children:
        if key not in KEYS:
            yield key, f"unknown key; known are {', '.join(KEYS)}."
    for key in KEYS:
        if key not in children:
            yield key, "missing."
            continue
        try:
            value_parsers.name(NAME_PATTERN, "list")(children[key][1])
        except ValueError as error:
            yield key, str(error)
