"""What a person does to a rollout from a form: the role it takes, the use case, and what is said when it can't be."""

from collections.abc import Callable
from dataclasses import dataclass

from flask import request
from sqlalchemy.orm import Session

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.transitions import LOSES_USERS, RETURN_GAINS_USERS, Decision
from control_plane.platform.auth import authorization
from control_plane.platform.identity_types import PRODUCTION
from control_plane.rollout_names import environment_of, flag_of
from control_plane.rollouts import archive
from dashboards.language import N_

CONFIRMED_BY = {LOSES_USERS: "confirm_losing", RETURN_GAINS_USERS: "confirm_gaining"}
"""Refusals that a person may confirm away, with the field by which the form does it."""


@dataclass(frozen=True, slots=True)
class FormAction:
    """One use case as a form calls it; `impossible` is said before the reasons of a refusal."""

    role: str
    impossible: str
    decide: Callable[[Session, str, ChangeContext], Decision]


def _advance(session: Session, flag: str, change: ChangeContext) -> Decision:
    return rollouts.advance(
        session,
        flag,
        change,
        expected_version=_version(),
        approval=change.reason,
        confirm_losing=_is_confirmed(LOSES_USERS),
    )


def _step_back(session: Session, flag: str, change: ChangeContext) -> Decision:
    return rollouts.step_back(session, flag, change, expected_version=_version())


def _rearm(session: Session, flag: str, change: ChangeContext) -> Decision:
    return rollouts.rearm(session, flag, change, expected_version=_version())


def _roll_back(session: Session, flag: str, change: ChangeContext) -> Decision:
    in_all = "everywhere" in request.form
    if in_all and environment_of(flag):
        authorization.require_role_on("operator", flag_of(flag), [PRODUCTION])
    return rollouts.roll_back(session, flag, change, in_all=in_all)


def _archive(session: Session, flag: str, change: ChangeContext) -> Decision:
    authorization.require_role_on("owner", flag, archive.places_ended(session, flag))
    loses = _is_confirmed(LOSES_USERS)
    return archive.archive(session, flag, change, expected_version=_version(), confirm_losing=loses)


def _revive(session: Session, flag: str, change: ChangeContext) -> Decision:
    return archive.revive(session, flag, change, expected_version=_version())


def _delete(session: Session, flag: str, change: ChangeContext) -> Decision:
    if environment_of(flag):  # which decides in one more environment then
        authorization.require_role_on("owner", flag_of(flag), [PRODUCTION])
    authorization.require_role_on("owner", flag, archive.places_ended(session, flag))
    return archive.delete(
        session,
        flag,
        change,
        expected_version=_version(),
        confirm_losing=_is_confirmed(LOSES_USERS),
        confirm_gaining=_is_confirmed(RETURN_GAINS_USERS),
    )


def _version() -> int:
    return request.form.get("version", 0, type=int)


def _is_confirmed(code: str) -> bool:
    return CONFIRMED_BY[code] in request.form


ACTIONS = {
    "advance": FormAction("owner", N_("Nothing was changed: it is not possible to advance now."), _advance),
    "hold": FormAction("operator", N_("Nothing was changed: it is not possible to hold now."), rollouts.hold),
    "resume": FormAction("operator", N_("Nothing was changed: it is not possible to resume now."), rollouts.resume),
    "step-back": FormAction("operator", N_("Nothing was changed: it is not possible to step back now."), _step_back),
    "rollback": FormAction("operator", N_("Nothing was changed: it is not possible to roll back now."), _roll_back),
    "rearm": FormAction("owner", N_("Nothing was changed: it is not possible to re-arm now."), _rearm),
    "archive": FormAction("owner", N_("Nothing was changed: it is not possible to archive now."), _archive),
    "revive": FormAction("owner", N_("Nothing was changed: it is not possible to revive now."), _revive),
    "delete": FormAction("owner", N_("Nothing was changed: it is not possible to delete now."), _delete),
}
