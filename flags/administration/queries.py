"""Flags and environments as they are listed and shown."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from control_plane.platform.auth import tokens
from control_plane.platform.settings import current
from control_plane.rollouts import store as rollout_store
from flags import store
from flags.administration.definitions import unknown_flag
from flags.administration.edits import tag_texts
from flags.unleash.feature_payload import PROJECT

EVERY = "*"


@dataclass(frozen=True, slots=True)
class FlagQuery:
    """Which flags to list."""

    project: str = ""
    prefix: str = ""
    tag: str = ""
    """As it is written, `type:value`; a rollout's tags have no type."""
    text: str = ""
    stale: bool | None = None

    def matches(self, flag: Mapping[str, Any]) -> bool:
        """Return whether a flag of `list_flags` is one of them."""
        tags = flag.get("tags", ())
        return (
            self.project in ("", flag.get("project", PROJECT))
            and flag["name"].startswith(self.prefix)
            and self.text.casefold() in flag["name"].casefold()
            and (not self.tag or self.tag in tags or f"simple:{self.tag}" in tags)
            and self.stale in (None, flag.get("stale", False))
        )


def flag_detail(session: Session, name: str) -> dict[str, Any]:
    """Return everything that decides who has a flag; raises Problem where there is none."""
    if rollout_store.load(session, name) is not None:
        own = {each.plan.environment: each.flag for each in rollout_store.of_single_environments(session, name)}
        return {"name": name, "rollout": True} | ({"rollouts": own} if own else {})
    found = store.stored_definitions(session, name)
    if not found:
        raise unknown_flag(session, name, found)
    shared = next(iter(found.values())).feature
    return {
        "name": name,
        "rollout": False,
        "type": shared.get("type"),
        "project": shared.get("project"),
        "description": shared.get("description"),
        "stale": any(each.feature.get("stale") for each in found.values()),
        "impressionData": bool(shared.get("impressionData")),
        "tags": tag_texts(store.tags(session).get(name, ())),
        "environments": {environment: _definition(each) for environment, each in found.items()},
    }


def list_flags(session: Session) -> list[dict[str, Any]]:
    """Return every flag: those under a rollout, and the definitions; what is as in most is left out."""
    tags = store.tags(session)
    rollout_flags = [
        {"name": rollout.flag, "rollout": True} | ({"tags": [*rollout.plan.tags]} if rollout.plan.tags else {})
        for rollout in rollout_store.load_all(session)
        if not rollout.plan.is_of_one_environment
    ]
    definitions = []
    for name, found in store.features_by_name(session).items():
        switches = {environment: bool(feature["enabled"]) for environment, feature in found.items()}
        project = next(iter(found.values())).get("project", PROJECT)
        extra = {
            "project": project if project != PROJECT else None,
            "stale": any(feature.get("stale") for feature in found.values()) or None,
            "tags": tag_texts(tags.get(name, ())) or None,
        }
        definitions.append(
            {"name": name, "rollout": False, "environments": switches}
            | {key: value for key, value in extra.items() if value is not None}
        )
    return [*rollout_flags, *definitions]


def list_environments(session: Session) -> list[dict[str, Any]]:
    """Return every environment that has flags, segments or tokens, and this server's own."""
    here = current().environment
    flags = Counter(environment for environment, _ in store.every_definition(session))
    segments = Counter(each.environment for each in store.stored_segments(session))
    names = {here, *flags, *segments, *(token.environment for token in tokens.list_tokens(session))} - {EVERY}
    return [
        {"name": name, "flags": flags[name], "segments": segments[name], "here": name == here} for name in sorted(names)
    ]


def _definition(stored: store.StoredDefinition) -> dict[str, object]:
    feature = stored.feature
    return {
        "version": stored.version,
        "enabled": bool(feature["enabled"]),
        "strategies": feature["strategies"],
        "variants": feature.get("variants", []),
        "dependencies": feature.get("dependencies", []),
        "updatedAt": stored.updated_at.isoformat(),
        "updatedBy": stored.updated_by,
    }
