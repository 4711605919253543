"""The checklists over JSON: read by viewers, signed by operators."""

from datetime import datetime

from flask import Blueprint, Flask, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import progress, signatures
from control_plane.checklists.signatures import ItemAddress
from control_plane.core.checklist import ChecklistState, ItemState
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import openapi_doc

bp = Blueprint("checklists", __name__, url_prefix="/api/rollouts/<flag>/checklists")


class SignRequest(BaseModel):
    """The body of a signature: what was done, where that can be seen, and in which phase."""

    model_config = ConfigDict(extra="forbid", strict=True)

    note: str = Field(default="", max_length=signatures.LONGEST)
    link: str = Field(default="", max_length=signatures.LONGEST)
    phase: str = ""


class WithdrawRequest(BaseModel):
    """The body of a withdrawal."""

    model_config = ConfigDict(extra="forbid", strict=True)

    reason: str = Field(default="", max_length=signatures.LONGEST)
    phase: str = ""


class Item(BaseModel):
    """An item and how it stands."""

    name: str
    title: str
    check: str
    status: str
    sentence: str
    signedBy: str | None  # noqa: N815 - the JSON name
    signedAt: str | None  # noqa: N815 - the JSON name
    note: str | None
    link: str | None


class ChecklistDocument(BaseModel):
    """A checklist in one phase; `phase` is empty for one that follows the rollout."""

    name: str
    title: str
    phase: str
    dueAt: str | None  # noqa: N815 - the JSON name
    late: bool
    ticked: int
    items: list[Item]


class ChecklistList(BaseModel):
    """Every checklist of a rollout."""

    checklists: list[ChecklistDocument]


@bp.get("")
@require_role("viewer")
@openapi_doc(answers={200: ChecklistList})
def index(flag: str) -> ResponseReturnValue:
    """Return every checklist of the rollout, phase by phase."""
    now = clock.now()
    with read_only() as session:
        found = progress.read(session, rollouts.find(session, flag), now).all
        return jsonify({"checklists": [document(state, now) for state in found]})


@bp.put("/<checklist>/<item>/signature")
@require_role("operator")
@openapi_doc(body=SignRequest, answers={200: Item})
def sign(flag: str, checklist: str, item: str) -> ResponseReturnValue:
    """Sign an item with a note or a link."""
    body = SignRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.note)
    with transaction() as session:
        rollout = rollouts.find(session, flag)
        state = signatures.sign(session, rollout, ItemAddress(checklist, item, body.phase), change, link=body.link)
        return jsonify(item_document(state))


@bp.delete("/<checklist>/<item>/signature")
@require_role("operator")
@openapi_doc(body=WithdrawRequest, answers={204: None})
def withdraw(flag: str, checklist: str, item: str) -> ResponseReturnValue:
    """Take a signature back."""
    body = WithdrawRequest.model_validate(request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    with transaction() as session:
        signatures.withdraw(session, rollouts.find(session, flag), ItemAddress(checklist, item, body.phase), change)
    return "", 204


def document(state: ChecklistState, now: datetime) -> dict[str, object]:
    """Return a checklist as JSON."""
    return {
        "name": state.checklist.name,
        "title": state.checklist.title,
        "phase": state.phase,
        "dueAt": state.due_at.isoformat() if state.due_at else None,
        "late": state.is_late(now),
        "ticked": state.ticked,
        "items": [item_document(each) for each in state.items],
    }


def item_document(state: ItemState) -> dict[str, object]:
    """Return an item as JSON."""
    signature = state.signature
    return {
        "name": state.item.name,
        "title": state.item.title,
        "check": state.item.check,
        "status": state.status.value,
        "sentence": state.sentence,
        "signedBy": signature.actor if signature else None,
        "signedAt": signature.at.isoformat() if signature else None,
        "note": signature.note if signature else None,
        "link": signature.link if signature else None,
    }


def init_app(app: Flask) -> None:
    """Mount the routes."""
    app.register_blueprint(bp)
