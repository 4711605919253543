"""Say who gains and who loses flags by a change of a segment: users of the directory, by what that knows of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from flags import store
from flags.administration.segments import segment_ids
from flags.client_features.feature_set import build
from flags.client_features.refresher import read_source
from flags.client_features.user_directory import USERS_MAX
from flags.evaluation.contexts import ATTRIBUTES, USER_ID, Context, KnownAttributes, enrich_context
from flags.snapshot import Snapshots
from flags.unleash.compiler import Wire
from flags.unleash.imported_flag import EngineContext, ImportedFlag, imported_flags

RANDOM = "random"
RANDOM_STRATEGY = "gradualRolloutRandom"


@dataclass(frozen=True, slots=True)
class FlagChange:
    """How many users of the directory would gain a flag, and how many would lose it.

    Without `counted` some of its strategies, or of a parent's, draw at random, so that nobody has it from one request
    to the next.
    """

    flag: str
    gaining: int = 0
    losing: int = 0
    counted: bool = True


def segment_changes(
    session: Session, snapshots: Snapshots, environment: str, wire: Wire, now: datetime
) -> list[FlagChange]:
    """Compare the flags that refer to a segment, or depend on one that does, with those under `wire` in its place."""
    source = read_source(snapshots, session, environment)
    later = (*(each for each in source.segments if each["id"] != wire["id"]), wire)
    features = {each["name"]: each for each in source.definitions if each["name"] not in source.rollout_flags}
    names = sorted(_affected(features, wire["id"]))
    counted = [name for name in names if not _draws(features, name)]
    before, after = (
        imported_flags(build(each, now, guard_ended_at=None).contents, counted)
        for each in (source, replace(source, segments=later))
    )
    gaining, losing = _count(session, environment, (before, after), now)
    return [FlagChange(name, gaining.get(name, 0), losing.get(name, 0), counted=name in counted) for name in names]


def unknown_attributes(wires: Sequence[Wire]) -> tuple[str, ...]:
    """Return what the constraints of segments ask for and the directory does not know."""
    attributes = {constraint["contextName"] for wire in wires for constraint in wire["constraints"]}
    return tuple(sorted(attributes - {*ATTRIBUTES, USER_ID}))


def _affected(features: Mapping[str, Wire], number: int) -> set[str]:
    found = {name for name, wire in features.items() if number in segment_ids(wire)}
    # A flag asks its parents alone: a parent that has one itself is never on for its child.
    return found | {
        name
        for name, wire in features.items()
        if any(parent["feature"] in found for parent in wire.get("dependencies") or ())
    }


def _draws(features: Mapping[str, Wire], name: str) -> bool:
    """Return whether a flag draws at random for each request, or asks a parent that does."""
    names = (name, *(parent["feature"] for parent in features[name].get("dependencies") or ()))
    return any(
        strategy["name"] == RANDOM_STRATEGY or (strategy.get("parameters") or {}).get("stickiness") == RANDOM
        for each in names
        if each in features
        for strategy in features[each]["strategies"]
    )


def _count(
    session: Session,
    environment: str,
    flags: tuple[Mapping[str, ImportedFlag], Mapping[str, ImportedFlag]],
    now: datetime,
) -> tuple[dict[str, int], dict[str, int]]:
    """Count in one pass over the directory, and in none where no flag is affected."""
    before, after = flags
    gaining, losing = dict.fromkeys(before, 0), dict.fromkeys(before, 0)
    for context in _contexts(session, environment, now) if before else ():
        for name, flag in before.items():
            had, has = flag.is_on(context), after[name].is_on(context)
            gaining[name] += has and not had
            losing[name] += had and not has
    return gaining, losing


def _contexts(session: Session, environment: str, now: datetime) -> Iterator[EngineContext]:
    for user in store.users(session, None, limit=USERS_MAX):
        known = KnownAttributes(user.plan, user.signed_up_at, user.beta)
        context = enrich_context(Context(user.user_id), known, ())
        yield EngineContext(context.to_json(environment, now))
