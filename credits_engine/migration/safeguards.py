"""Decisions of people and of the guard that protect users, which no restore may undo.

Read from the database that is about to be replaced, as far as it can still be read, and put into the one that takes
its place. Where both say something, the newer word counts; nothing that was closed is opened.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Rollout
from control_plane.platform.auth import access, audit
from control_plane.platform.auth.access import Rows
from control_plane.platform.runtime import change_feed, leases
from control_plane.rollouts import store
from credits_engine.migration.backups import SUBJECT as BACKUP_SUBJECT
from credits_engine.store import accounts
from flags import store as flags
from flags.store import Effect, StoredOverride
from flags.unleash.compiler import Wire

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Safeguards:
    """The decisions in the database before it is replaced; None for what could not be read."""

    revision: int | None
    rollouts: Mapping[str, Rollout] | None
    overrides: Sequence[StoredOverride] | None
    people: Rows | None
    tokens: Rows | None
    freezes: Rows | None
    leases: Rows | None
    definitions: Mapping[tuple[str, str], Wire] | None
    segments: Mapping[str, Sequence[Wire]] | None
    backup: Mapping[str, object] | None
    unreadable: Sequence[str] = field(default_factory=tuple)


def read(session: Session) -> Safeguards:
    """Return everything that can be read."""
    unreadable: list[str] = []

    def found(name: str, query: Callable[[], Found]) -> Found | None:
        try:
            # A savepoint for each: what a damaged database can't answer must not end the transaction.
            with session.begin_nested():
                return query()
        except (SQLAlchemyError, ValueError, TypeError):
            unreadable.append(name)
            return None

    return Safeguards(
        revision=found("revision", lambda: change_feed.revision(session)),
        rollouts=found("rollouts", lambda: {each.flag: each for each in store.load_all(session)}),
        overrides=found("overrides", lambda: flags.every_override(session)),
        people=found("people", lambda: access.rows(session, access.PEOPLE)),
        tokens=found("tokens", lambda: access.rows(session, access.TOKENS)),
        freezes=found("freezes", lambda: accounts.freezes(session)),
        leases=found("leases", lambda: leases.rows(session)),
        definitions=found("flags", lambda: flags.every_definition(session)),
        segments=found("segments", lambda: flags.every_segment(session)),
        backup=found("backup", lambda: _last_backup(session)),
        unreadable=unreadable,
    )


def carry_over(
    session: Session, known: Safeguards, *, jump: int, now: datetime, actor: str, reason: str
) -> dict[str, object]:
    """Let all of it hold in the restored database; returns what was carried over, in numbers and names."""
    latched = _rollouts(session, known, now=now, actor=actor, reason=reason)
    denied = _overrides(session, known)
    access.remove_sessions(session)
    if known.people is None:
        # Nobody can tell who was shut out since the backup, so everybody has to sign in again.
        access.end_sessions(session, jump)
    else:
        access.restore_rows(session, access.PEOPLE, known.people)
    if known.tokens is not None:
        access.restore_rows(session, access.TOKENS, known.tokens)
    for row in known.freezes or ():
        accounts.freeze(session, row["user_id"], now=row["frozen_at"], actor=row["actor"], reason=row["reason"])
    leases.put_back(session, known.leases or ())
    switched_off = _switch_off(session, known, now=now, actor=actor)
    redefined = _define_as_last(session, known, now=now, actor=actor)
    _backup(session, known, now=now, actor=actor)
    for topic in (flags.OVERRIDE, flags.FLAG, flags.DIRECTORY):
        change_feed.publish(session, topic, "*", now=now)
    return {
        "latched": latched,
        "deny_overrides": denied,
        "people": None if known.people is None else len(known.people),
        "tokens": None if known.tokens is None else len(known.tokens),
        "revoked_tokens": sum(1 for row in known.tokens or () if row["revoked_at"]),
        "freezes": None if known.freezes is None else len(known.freezes),
        "switched_off": switched_off,
        "redefined": redefined,
        "not_readable": list(known.unreadable),
    }


def _rollouts(session: Session, known: Safeguards, *, now: datetime, actor: str, reason: str) -> list[str]:
    before = known.rollouts or {}
    names = sorted({each.flag for each in store.load_all(session)} | before.keys())
    for flag in names:
        rollouts.latch_restored(session, flag, before.get(flag), ChangeContext(now, actor, reason))
    return names


def _overrides(session: Session, known: Safeguards) -> int:
    """Let in by name whom the replaced database let in; keep out whom either database keeps out."""
    if known.overrides is None:
        return 0
    governed = {each.flag for each in known.overrides} | (known.rollouts or {}).keys()
    for each in flags.every_override(session):
        if each.effect is Effect.ALLOW and each.flag in governed:
            flags.delete_override(session, each.flag, each.user_id, each.effect)
    for each in known.overrides:
        flags.put_override(
            session,
            each.flag,
            each.user_id,
            each.effect,
            ChangeContext(each.created_at, each.actor, each.reason),
            expires_at=each.expires_at,
        )
    return sum(each.effect is Effect.DENY for each in known.overrides)


def _switch_off(session: Session, known: Safeguards, *, now: datetime, actor: str) -> list[str]:
    """Keep flags without a rollout off that were off or gone at last."""
    if known.definitions is None:
        return []
    done = []
    for (environment, name), feature in flags.every_definition(session).items():
        last = known.definitions.get((environment, name))
        if feature["enabled"] and not (last and last["enabled"]):
            flags.put_definitions(session, environment, [{**feature, "enabled": False}], actor=actor, now=now)
            done.append(f"{environment}/{name}")
    return done


def _define_as_last(session: Session, known: Safeguards, *, now: datetime, actor: str) -> list[str]:
    """Keep flags and segments that were edited since the backup as they were last: an edit may have narrowed them."""
    for environment, wires in (known.segments or {}).items():
        flags.put_segments(session, environment, wires)
    done = []
    for (environment, name), feature in flags.every_definition(session).items():
        last = (known.definitions or {}).get((environment, name))
        wire = {**last, "enabled": last["enabled"] and feature["enabled"]} if last else feature
        if wire != feature:
            flags.put_definitions(session, environment, [wire], actor=actor, now=now)
            done.append(f"{environment}/{name}")
    return done


def _last_backup(session: Session) -> dict[str, object] | None:
    for entry in audit.latest(session, subject=BACKUP_SUBJECT, limit=1):
        return {"made_at": entry.at.isoformat(), **(entry.after or {})}
    return None


def _backup(session: Session, known: Safeguards, *, now: datetime, actor: str) -> None:
    """Record the last backup again: its record was written after it, so no backup knows of itself."""
    if known.backup is None or known.backup == _last_backup(session):
        return
    audit.record(
        session,
        ChangeContext(now, actor, "The record of the last backup, kept over a restore."),
        action="credits.backup",
        subject=BACKUP_SUBJECT,
        after=known.backup,
    )
