"""Members of organisations over JSON."""

from typing import Annotated

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue
from pydantic import Field

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.auth.authorization import actor, require_role
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.openapi import ResponseModel, openapi_doc
from control_plane.platform.problems import Problem
from credits_engine.administration import organisations
from credits_engine.api import query_params, requests, serializers
from credits_engine.api.requests import ReasonedRequest, UserId
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.memberships import Membership
from credits_engine.operations import account_books
from credits_engine.store import accounts, members

bp = Blueprint("credits_members", __name__, url_prefix="/api/admin/credits/members")


class MemberRequest(ReasonedRequest):
    """Who spends from whose account, at most how much of each kind in one of its periods, and why."""

    accountId: UserId  # noqa: N815 - the JSON name
    limits: dict[str, Annotated[int, Field(strict=True)]] = Field(default_factory=dict)


class Member(ResponseModel):
    """A member, the limits of their own by kind, and what they have used of the account's running period."""

    userId: str  # noqa: N815 - the JSON name
    accountId: str  # noqa: N815 - the JSON name
    limits: dict[str, int]
    used: dict[str, int]
    startsAt: str  # noqa: N815 - the JSON name
    endsAt: str | None  # noqa: N815 - the JSON name


class MemberList(ResponseModel):
    """The members of an account, and how many there is room for; null where its plan is not by the seat."""

    members: list[Member]
    seats: int | None


@bp.get("")
@require_role("operator")
@openapi_doc(answers={200: MemberList})
def members_view() -> ResponseReturnValue:
    """Return the members of `?account=`, what each may spend and has spent of the running period."""
    query_params.refuse_unknown("account")
    now, account_id = clock.now(), request.args.get("account", "")
    with read_only() as session:
        found = accounts.find(session, account_id)
        if found is None:
            raise Problem(404, "UNKNOWN_USER", f"Account {account_id[:80]!r} is not in the directory.")
        start = account_books.read_books(session, found[0], now).v2.period.start
        listed = [
            document_of(each, members.used(session, each, start))
            for each in members.of_account(session, account_id, now)
        ]
    return jsonify({"members": listed, "seats": organisations.seats(found[0].plan)})


@bp.post("")
@require_role("owner")
@openapi_doc(body=MemberRequest, answers={200: Member})
def add_view() -> ResponseReturnValue:
    """Let a user spend from an account, or change the limits of one who does; it counts ten seconds later."""
    body = requests.parsed(MemberRequest, request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    with transaction() as session:
        found = organisations.add(session, body.userId, body.accountId, body.limits, change)
    return jsonify(document_of(found, Amounts()))


@bp.post("/remove")
@require_role("owner")
@openapi_doc(body=ReasonedRequest, answers={200: Member})
def remove_view() -> ResponseReturnValue:
    """Let a user spend from their own account again; it counts ten seconds later."""
    body = requests.parsed(ReasonedRequest, request.get_json())
    change = ChangeContext(clock.now(), actor(), body.reason)
    with transaction() as session:
        found = organisations.remove(session, body.userId, change)
    return jsonify(document_of(found, Amounts()))


def document_of(member: Membership, used: Amounts) -> serializers.Document:
    """Return one member as JSON."""
    return {
        "userId": member.user_id,
        "accountId": member.account_id,
        "limits": dict(member.limits),
        "used": serializers.by_kind(used),
        "startsAt": serializers.instant(member.starts_at),
        "endsAt": serializers.instant(member.ends_at) if member.ends_at else None,
    }
