"""What somebody can do to the audit trail who may do everything in the database, but has no key."""

from sqlalchemy import select, text, update

from control_plane.platform.auth import audit
from control_plane.platform.db.database import db, transaction
from control_plane.platform.models import AuditEntryRow, AuditHeadRow


def allow() -> None:
    """Take away the triggers that refuse every change."""
    with transaction() as session:
        if db.engine.dialect.name == "sqlite":
            for change in ("update", "delete"):
                session.execute(text(f"DROP TRIGGER audit_entry_no_{change}"))
        else:
            session.execute(text("DROP TRIGGER audit_entry_no_change ON audit_entry"))


def cut_off(entries: int) -> None:
    """Remove the newest entries."""
    with transaction() as session:
        newest = select(AuditEntryRow.id).order_by(AuditEntryRow.id.desc()).limit(entries)
        ids = list(session.scalars(newest))
        session.execute(text("DELETE FROM audit_entry WHERE id >= :first"), {"first": min(ids)})


def recompute() -> None:
    """Make every hash fit what the entries say now."""
    with transaction() as session:
        previous = audit.GENESIS
        for entry in session.scalars(select(AuditEntryRow).order_by(AuditEntryRow.id)):
            entry.previous_hash = previous
            previous = entry.hash = audit._entry_hash(entry)


def rewrite_head(**values: object) -> None:
    """Say something else of how the trail ends."""
    with transaction() as session:
        session.execute(update(AuditHeadRow).values(**values))


def remove_head() -> None:
    with transaction() as session:
        session.execute(text("DELETE FROM audit_head"))
