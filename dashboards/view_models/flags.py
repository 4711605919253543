"""The screens of flags without a rollout: the list, one flag in each environment, its definition as JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from control_plane.platform.problems import Problem
from dashboards.constraint_sentences import dependency_sentence
from dashboards.flag_sentences import VariantView, strategy_sentence, variant_views
from flags import store
from flags.administration import flag_versions
from flags.administration.definitions import unknown_flag
from flags.administration.edits import DECIDING
from flags.administration.flag_versions import FlagVersion
from flags.administration.queries import FlagQuery, flag_detail, list_flags

PAGE_FLAGS = 50
VERSIONS_MAX = 20


@dataclass(frozen=True, slots=True)
class FlagsScreen:
    """One page of the flags that fit; a page beyond the last is the last."""

    now: datetime
    wanted: FlagQuery
    flags: Sequence[Mapping[str, object]]
    total: int
    page: int

    @property
    def pages(self) -> int:
        """Return how many pages there are, one at least."""
        return max(1, -(-self.total // PAGE_FLAGS))


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """A flag in one environment, in sentences."""

    name: str
    enabled: bool
    strategies: Sequence[str]
    variants: Sequence[VariantView]
    dependencies: Sequence[str]
    updated_at: datetime
    updated_by: str


@dataclass(frozen=True, slots=True)
class FlagScreen:
    """One flag: what it has in common everywhere, each environment, the latest versions."""

    now: datetime
    name: str
    detail: Mapping[str, object]
    environments: Sequence[EnvironmentView]
    """Empty once the flag was deleted."""
    versions: Sequence[FlagVersion]


@dataclass(frozen=True, slots=True)
class DefinitionScreen:
    """What decides who has a flag in one environment, as JSON to edit; version 0 is an environment without it."""

    now: datetime
    name: str
    environment: str
    version: int
    text: str
    mistakes: Sequence[str] = ()
    may_confirm: bool = False
    """Whether it is refused only for users whom it would move."""


def read_list(session: Session, wanted: FlagQuery, *, page: int, now: datetime) -> FlagsScreen:
    """Return a page of the flags without a rollout."""
    found = [flag for flag in list_flags(session) if not flag["rollout"] and wanted.matches(flag)]
    last = max(1, -(-len(found) // PAGE_FLAGS))
    page_number = min(max(1, page), last)
    return FlagsScreen(
        now, wanted, found[(page_number - 1) * PAGE_FLAGS : page_number * PAGE_FLAGS], len(found), page_number
    )


def read(session: Session, name: str, now: datetime) -> FlagScreen | None:
    """Return the screen of `name`, also once it was deleted; None where a rollout decides it.

    Raises Problem for a flag that there never was.
    """
    found = flag_versions.versions(session, name)[:VERSIONS_MAX]
    try:
        detail = flag_detail(session, name)
    except Problem:
        if not found:
            raise
        return FlagScreen(now, name, {}, (), found)
    if detail["rollout"]:
        return None
    names = store.segment_names(session)
    environments = [
        _environment(place, found, {number: text for (where, number), text in names.items() if where == place})
        for place, found in detail["environments"].items()
    ]
    return FlagScreen(now, name, detail, environments, found)


def read_definition(session: Session, name: str, environment: str, now: datetime) -> DefinitionScreen:
    """Return the editor of `name` in `environment`; raises Problem for a flag that can't be edited there."""
    found = store.stored_definitions(session, name)
    if not found:
        raise unknown_flag(session, name, found)
    stored = found.get(environment)
    fields = {each: stored.feature.get(each, []) for each in DECIDING} if stored else {}
    return DefinitionScreen(now, name, environment, stored.version if stored else 0, definition_text(fields))


def definition_text(fields: Mapping[str, object]) -> str:
    """Write a definition as the editor shows it; an environment without one begins off, for everybody."""
    return json.dumps(fields or {"enabled": False, "strategies": [{"name": "default"}]}, indent=2, ensure_ascii=False)


def _environment(name: str, found: Mapping[str, Any], segments: Mapping[int, str]) -> EnvironmentView:
    return EnvironmentView(
        name=name,
        enabled=found["enabled"],
        strategies=[strategy_sentence(each, segments) for each in found["strategies"]],
        variants=variant_views(found["variants"]),
        dependencies=[dependency_sentence(each) for each in found["dependencies"]],
        updated_at=datetime.fromisoformat(found["updatedAt"]),
        updated_by=found["updatedBy"],
    )
