"""Letting a user in, or keeping one out, by name: with a reason, a name and an end, audited like any change."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from flask import Flask
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import Action
from control_plane.platform.auth import audit
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem, require_reason
from control_plane.platform.runtime import change_feed, jobs
from control_plane.rollout_names import environment_of, flag_of
from control_plane.rollouts import RolloutChanged
from flags import store
from flags.evaluation.bucketing import refused_user_id
from flags.store import Effect, StoredOverride
from flags.store.revisions import OVERRIDE
from flags.unleash.named_users import ALLOWED_MAX, DENIED_MAX

SYSTEM = "system"
SWEEP_SECONDS = 2.0


def put_override(
    session: Session,
    flag: str,
    user_id: str,
    effect: Effect,
    change: ChangeContext,
    *,
    expires_at: datetime | None = None,
) -> StoredOverride:
    """Treat the user by name until `expires_at`; replaces an earlier override of the same effect.

    Raises Problem for a user id that SDKs read differently, a missing reason, an end that has passed, and one more
    user kept out than every SDK can be told of.
    """
    _check_flag(session, flag)
    _check(user_id, change.reason, expires_at, now=change.now)
    before = store.find_override(session, flag, user_id, effect)
    if effect is Effect.DENY and before is None:
        _check_room(session, flag, change.now)
    store.put_override(session, flag, user_id, effect, change, expires_at=expires_at)
    after = store.find_override(session, flag, user_id, effect)
    assert after is not None
    _publish(session, "put", before, after, change)
    return after


def remove_override(session: Session, flag: str, user_id: str, effect: Effect, change: ChangeContext) -> bool:
    """End an override; False when there was none."""
    _check_flag(session, flag)
    require_reason(change.reason)
    before = store.find_override(session, flag, user_id, effect)
    if before is None or not store.delete_override(session, flag, user_id, effect):
        return False
    _publish(session, "remove", before, None, change)
    return True


def _check_flag(session: Session, flag: str) -> None:
    rollouts.find(session, flag)
    if environment_of(flag):
        detail = f"Users are let in or kept out by name in every environment at once; write {flag_of(flag)}."
        raise Problem(422, "NOT_OF_ONE_ENVIRONMENT", detail)


def sweep(session: Session, now: datetime) -> int:
    """Put away overrides that have ended; returns how many."""
    # They stopped counting at their very end. Once they are gone, a clock that is set back can't revive them.
    ended = store.expired_overrides(session, now)
    for override in ended:
        store.delete_override(session, override.flag, override.user_id, override.effect)
        _publish(session, "expire", override, None, ChangeContext(now, SYSTEM, override.reason))
    return len(ended)


def end_deleted(session: Session, changed: RolloutChanged) -> None:
    """Remove the overrides of a flag that is deleted: another one of its name begins without them."""
    if changed.action is Action.DELETE:
        for override in store.list_overrides(session, changed.after.flag):
            store.delete_override(session, override.flag, override.user_id, override.effect)
            _publish(session, "end", override, None, replace(changed.context, evidence=None))


def init_app(app: Flask) -> None:
    """Let the leader put away what has ended."""
    jobs.run_on_leader(app, SWEEP_SECONDS, "sweep-overrides", _sweep)


def unsent_warning(session: Session, flag: str, now: datetime) -> str | None:
    """Return what to know where more users are let in by name than travel to SDKs; None where all do."""
    named = store.count_overrides(session, flag, now, Effect.ALLOW)
    if named <= ALLOWED_MAX:
        return None
    return (
        f"{flag} lets in {named:,} users by name. SDKs that evaluate by themselves are given the first {ALLOWED_MAX}; "
        f"the other {named - ALLOWED_MAX:,} are answered by this server alone. Who is kept out is sent to every SDK."
    )


def to_json(override: StoredOverride) -> dict[str, Any]:
    """Return an override as JSON."""
    return {
        "flag": override.flag,
        "userId": override.user_id,
        "effect": override.effect.value,
        "reason": override.reason,
        "actor": override.actor,
        "createdAt": override.created_at.isoformat(),
        "expiresAt": override.expires_at.isoformat() if override.expires_at else None,
    }


def _sweep(now: datetime) -> None:
    with read_only() as session:
        has_ended = bool(store.expired_overrides(session, now))
    if has_ended:
        with transaction() as session:
            sweep(session, now)


def _check(user_id: str, reason: str, expires_at: datetime | None, *, now: datetime) -> None:
    if refused := refused_user_id(user_id):
        raise Problem(422, "INVALID_USER_ID", refused)
    require_reason(reason)
    if expires_at is not None and expires_at <= now:
        detail = f"The override would have ended at {expires_at.isoformat()} already; choose a later time, or none."
        raise Problem(422, "INVALID_EXPIRY", detail)


def _check_room(session: Session, flag: str, now: datetime) -> None:
    """Refuse a name that SDKs would not be sent: they would expose somebody who was said to be kept out."""
    # Two at once may both find the last place. That costs a few bytes: all that are stored are sent.
    if store.count_overrides(session, flag, now, Effect.DENY) >= DENIED_MAX:
        detail = (
            f"{flag} keeps {DENIED_MAX:,} users out by name, as many as every SDK is sent. Keep more of them out by an "
            "attribute that the plan asks for, hold the rollout, or end overrides that are needed no more."
        )
        raise Problem(409, "TOO_MANY_KEPT_OUT", detail)


def _publish(
    session: Session,
    verb: str,
    before: StoredOverride | None,
    after: StoredOverride | None,
    change: ChangeContext,
) -> None:
    changed = after or before
    assert changed is not None
    audit.record(
        session,
        change,
        action=f"override.{verb}",
        subject=f"rollout:{changed.flag}",
        before=to_json(before) if before else None,
        after=to_json(after) if after else None,
    )
    change_feed.publish(session, OVERRIDE, changed.flag, now=change.now)
