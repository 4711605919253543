"""Changes of the user directory, by services, by import, and by billing, which knows the plan."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem
from control_plane.platform.runtime import change_feed
from flags import store
from flags.evaluation.bucketing import refused_user_id
from flags.store import UserAttributes
from flags.store.revisions import DIRECTORY

BATCH = 500
NAMED_MAX = 50
"""How many of those who join or leave a beta the audit trail names."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """New attributes of a user, by the names of `UserAttributes`. The others stay as they were."""

    user_id: str
    attributes: Mapping[str, Any]


def import_users(session: Session, changes: Iterable[UserChange], *, actor: str, now: datetime) -> int:
    """Store what is new of these users; returns how many. Raises Problem for the first that can't be stored.

    Who joins or leaves the beta allowlist is audited and announced, because flags change for them.
    """
    entered, joined, left = 0, list[str](), list[str]()
    for batch in _batches(changes):
        known = store.users_by_id(session, [change.user_id for change in batch])
        after = {change.user_id: _after(change, known.get(change.user_id)) for change in batch}
        entered += store.upsert_users(session, after.values(), now=now)
        joined += [name for name, user in after.items() if user.beta and not _was_beta(known.get(name))]
        left += [name for name, user in after.items() if not user.beta and _was_beta(known.get(name))]
    if joined or left:
        _publish(session, joined, left, actor=actor, now=now)
    return entered


def to_json(user: UserAttributes) -> dict[str, object]:
    """Return a user as JSON."""
    return {
        "userId": user.user_id,
        "plan": user.plan,
        "signedUpAt": user.signed_up_at.isoformat() if user.signed_up_at else None,
        "beta": user.beta,
        "billingAnchor": user.billing_anchor.isoformat() if user.billing_anchor else None,
    }


def _batches(changes: Iterable[UserChange]) -> Iterator[list[UserChange]]:
    rest = iter(changes)
    while batch := list(islice(rest, BATCH)):
        yield batch


def _after(change: UserChange, known: UserAttributes | None) -> UserAttributes:
    if refused := refused_user_id(change.user_id):
        raise Problem(422, "INVALID_USER_ID", refused)
    if known is None and not change.attributes.get("plan"):
        detail = f"The user {change.user_id!r} is new; say which plan they are on."
        raise Problem(422, "PLAN_REQUIRED", detail)
    return replace(known or UserAttributes(change.user_id, ""), **change.attributes)


def _was_beta(known: UserAttributes | None) -> bool:
    return known is not None and known.beta


def _publish(session: Session, joined: list[str], left: list[str], *, actor: str, now: datetime) -> None:
    sentence = f"{len(joined)} joined the beta allowlist, {len(left)} left it."
    after = {"joined": joined[:NAMED_MAX], "left": left[:NAMED_MAX]}
    audit.record(
        session, ChangeContext(now, actor, sentence), action="directory.beta", subject="directory", after=after
    )
    change_feed.publish(session, DIRECTORY, "beta", now=now)
