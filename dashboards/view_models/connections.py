"""The screen of connected SDKs: how many have the newest flags, by environment and one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from flags import store
from flags.client_features.refresher import feature_provider
from flags.usage.connections import Connection

HEARD_WITHIN = timedelta(minutes=10)
LISTED_MAX = 200


@dataclass(frozen=True, slots=True)
class EnvironmentView:
    """One environment's instances: all, and those that have its newest revision."""

    name: str
    revision_id: int
    instances: int
    current: int


@dataclass(frozen=True, slots=True)
class ConnectionsScreen:
    """Who was heard of in the last ten minutes; instances that are behind come first, at most some of them."""

    now: datetime
    environments: Sequence[EnvironmentView]
    connections: Sequence[tuple[Connection, bool]]
    total: int


def read(session: Session, now: datetime) -> ConnectionsScreen:
    """Return the instances as they last made themselves heard."""
    found = store.connections(session, since=now - HEARD_WITHIN)
    served = sorted({each.environment for each in found})
    revisions = {each: feature_provider().current(each).feature_set.id for each in served}
    instances = [(each, each.revision_id == revisions[each.environment]) for each in found]
    environments = [
        EnvironmentView(
            name,
            revision,
            sum(each.environment == name for each in found),
            sum(current for each, current in instances if each.environment == name),
        )
        for name, revision in revisions.items()
    ]
    behind_first = sorted(instances, key=lambda each: each[1])[:LISTED_MAX]
    return ConnectionsScreen(now, environments, behind_first, len(found))
