"""What becomes of signatures when the plan changes: nobody has signed an item that says something else now."""

from sqlalchemy.orm import Session

from control_plane.checklists import signatures, store
from control_plane.core.phases import Plan
from control_plane.core.transitions import Action
from control_plane.rollouts import store as rollout_store
from control_plane.rollouts.publication import RolloutChanged

Wording = tuple[str, str]
"""The title and the check of an item: what its signature is about."""


def on_change(session: Session, changed: RolloutChanged) -> None:
    """Withdraw what an edit makes void, in its transaction; a deleted flag leaves nothing to another of its name."""
    flag, plan = changed.after.flag, changed.after.plan
    if changed.action is Action.DELETE:
        store.remove_all(session, flag)
    if changed.action is not Action.EDIT_PLAN:
        return
    before = rollout_store.plan_version(session, flag, changed.after.plan_version - 1)
    old, new = _wordings(before.plan) if before else {}, _wordings(plan)
    for key, signature in store.signatures(session, flag).items():
        item = key.checklist, key.item
        if item not in new or old.get(item) != new[item]:
            signatures.remove(session, changed.after, key, signature, changed.context)


def _wordings(plan: Plan) -> dict[tuple[str, str], Wording]:
    return {(each.name, item.name): (item.title, item.check) for each in plan.checklists for item in each.items}
