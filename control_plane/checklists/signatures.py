"""Signing an item, and taking the signature back. Each runs in the caller's transaction and is audited."""

from dataclasses import asdict, dataclass

from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.checklists import progress, store
from control_plane.checklists.store import SignatureKey
from control_plane.core.checklist import ChecklistState, ItemState, ItemStatus, Signature
from control_plane.core.phases import Rollout
from control_plane.platform.auth import audit
from control_plane.platform.problems import Problem, require_reason
from control_plane.rollouts import store as rollout_store

LINKS = ("https://", "http://")
LONGEST = 2000


@dataclass(frozen=True, slots=True)
class ItemAddress:
    """Which item is meant; without a phase that of the current phase, else of the first that asks for it."""

    checklist: str
    item: str
    phase: str = ""


def sign(session: Session, rollout: Rollout, address: ItemAddress, change: ChangeContext, *, link: str) -> ItemState:
    """Sign an item, with `change.reason` as its note. Raises Problem where it can't be signed."""
    _lock(session, rollout)
    state, found = _find(session, rollout, address, change)
    if found.status is ItemStatus.FAILING:
        raise Problem(
            409, "CHECK_FAILS", f"{found.item.title} is not true now, so it can't be signed: {found.sentence}"
        )
    if found.item.check and found.status is ItemStatus.TICKED and not found.signature:
        raise Problem(409, "TICKED_BY_CHECK", f"{found.item.title} is ticked by itself: {found.sentence}")
    note, link = change.reason, link.strip()
    if not note and not link:
        raise Problem(422, "NOTE_REQUIRED", "Say in a note what was done, or give a link to it.")
    if link and not link.startswith(LINKS):
        raise Problem(422, "INVALID_LINK", "A link begins with https:// or http://.")
    if max(len(note), len(link)) > LONGEST:
        raise Problem(422, "NOTE_TOO_LONG", f"A note and a link have at most {LONGEST:,} characters each.")
    signature = Signature(change.actor, change.now, note, link)
    key = progress.signature_key(rollout, state.checklist, state.phase, address.item)
    store.add(session, rollout.flag, key, signature)
    _record(session, rollout, key, change, before=found.signature, after=signature)
    return ItemState(found.item, ItemStatus.TICKED, f"Signed by {change.actor}.", signature)


def withdraw(session: Session, rollout: Rollout, address: ItemAddress, change: ChangeContext) -> None:
    """Take a signature back. Raises Problem where there is none."""
    _lock(session, rollout)
    state, found = _find(session, rollout, address, change)
    if found.signature is None:
        raise Problem(409, "NOT_SIGNED", f"Nobody has signed {found.item.title!r}.")
    require_reason(change.reason)
    key = progress.signature_key(rollout, state.checklist, state.phase, address.item)
    remove(session, rollout, key, found.signature, change)


def remove(session: Session, rollout: Rollout, key: SignatureKey, signature: Signature, change: ChangeContext) -> None:
    """Remove a signature, with an entry in the audit trail."""
    store.remove(session, rollout.flag, key)
    _record(session, rollout, key, change, before=signature, after=None)


def _lock(session: Session, rollout: Rollout) -> None:
    """Let nobody else edit or sign meanwhile. Raises Problem where somebody just did."""
    # The lock comes after the rollout was read: a plan that was put in its place in between asks for something else.
    if rollout_store.lock(session, rollout.flag) != rollout.version:
        raise Problem(409, "VERSION_CONFLICT", "Somebody else changed the rollout at the same moment; look again.")


def _find(
    session: Session, rollout: Rollout, address: ItemAddress, change: ChangeContext
) -> tuple[ChecklistState, ItemState]:
    phase = address.phase or _phase_meant(rollout, address.checklist)
    for state in progress.read(session, rollout, change.now).all:
        if (state.checklist.name, state.phase) == (address.checklist, phase):
            for found in state.items:
                if found.item.name == address.item:
                    return state, found
    place = f" in phase {phase!r}" if phase else ""
    sentence = f"{rollout.flag} has no item {address.item!r} in a checklist {address.checklist!r}{place}."
    raise Problem(404, "ITEM_NOT_FOUND", sentence)


def _phase_meant(rollout: Rollout, checklist: str) -> str:
    phases = next((each.phases for each in rollout.plan.checklists if each.name == checklist), ())
    return rollout.phase.name if rollout.phase.name in phases else next(iter(phases), "")


def _record(
    session: Session,
    rollout: Rollout,
    key: SignatureKey,
    change: ChangeContext,
    *,
    before: Signature | None,
    after: Signature | None,
) -> None:
    place = asdict(key)
    audit.record(
        session,
        change,
        action="checklist.sign" if after else "checklist.withdraw",
        subject=f"rollout:{rollout.flag}",
        before=place | _documented(before) if before else None,
        after=place | (_documented(after) if after else {}),
    )


def _documented(signature: Signature) -> dict[str, object]:
    return {"actor": signature.actor, "at": signature.at.isoformat(), "note": signature.note, "link": signature.link}
