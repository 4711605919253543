"""Views that cost credits: held before the work, kept after a success, given back after anything else.

    @require_roast_credits(2)
    def write_roast(): ...

Flag off means that the legacy engine decides, never that nothing is counted. Work that fails is no failure of the
engine that granted its credits. The caller's `Idempotency-Key` makes a retry after a success free, and lets a retry
after a failure try again.
"""

from collections.abc import Callable
from datetime import datetime
from functools import wraps
from typing import ParamSpec, Protocol
from uuid import uuid4

import structlog
from flask import Response, json, make_response, request
from flask.typing import ResponseReturnValue
from sqlalchemy.orm import Session

from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.db.database import read_only
from control_plane.platform.db.keyed_semaphore import KeyBusyError
from control_plane.platform.observability import request_outcomes
from control_plane.platform.problems import MEDIA_TYPE, Problem
from credits_engine.api import serializers
from credits_engine.api.product_users import acting_user
from credits_engine.engines.amounts import Amounts
from credits_engine.engines.receipts import EntryType
from credits_engine.operations import reservations
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_finalization, run_reservation
from credits_engine.operations.members import reservation_place
from credits_engine.operations.reservations import DEFAULT_TTL
from credits_engine.store import reservations as rows
from credits_engine.store.reservations import ReservationState

ACTOR = "middleware"
KEY_HEADER = "Idempotency-Key"
ATTEMPTS_MAX = 10
BAD_REQUEST = 400

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]

log = structlog.get_logger()


class CreditBackend(Protocol):
    """The store of credits. Each method may raise Problem."""

    def reserve(self, user_id: str, key: str, amounts: Amounts) -> ReservationState:
        """Hold credits and say how the reservation under that key stands; a refusal is a Problem."""

    def commit(self, user_id: str, key: str) -> None:
        """Keep them."""

    def release(self, user_id: str, key: str, reason: str) -> None:
        """Give them back."""


class CreditsGuard:
    """The decorators over one counter; `user` names whose credits a request costs."""

    def __init__(self, counter: CreditBackend, user: Callable[[], str]) -> None:
        self._counter = counter
        self._user = user

    def require_analysis_credits(self, amount: int = 1) -> Callable[[View[P]], View[P]]:
        """Let the view cost analysis credits."""
        return self.require_credits(analysis=amount)

    def require_roast_credits(self, amount: int = 1) -> Callable[[View[P]], View[P]]:
        """Let the view cost roast credits."""
        return self.require_credits(roast=amount)

    def require_both_credits(self, analysis: int = 1, roast: int = 1) -> Callable[[View[P]], View[P]]:
        """Let the view cost credits of both kinds, granted together or not at all."""
        return self.require_credits(analysis=analysis, roast=roast)

    def require_credits(self, **by_kind: int) -> Callable[[View[P]], View[P]]:
        """Let the view cost credits of these kinds, granted together or not at all."""
        amounts = Amounts(**by_kind)

        def decorate(view: View[P]) -> View[P]:
            @wraps(view)
            def counted(*arguments: P.args, **options: P.kwargs) -> ResponseReturnValue:
                try:
                    user_id = self._user()
                    key = self._hold(user_id, request.headers.get(KEY_HEADER) or uuid4().hex, amounts)
                except Problem as problem:
                    return _refused(problem)
                try:
                    response = make_response(view(*arguments, **options))
                except BaseException as error:
                    self._give_back(user_id, key, f"The work raised {type(error).__name__}.")
                    raise
                self._finalize(user_id, key, response)
                return response

            return counted

        return decorate

    def _hold(self, user_id: str, key: str, amounts: Amounts) -> str:
        """Hold the credits and return their key; one whose work failed before is followed by a numbered one."""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            numbered = key if attempt == 1 else f"{key}#{attempt}"
            if self._counter.reserve(user_id, numbered, amounts) in (
                ReservationState.PENDING,
                ReservationState.COMMITTED,
            ):
                return numbered
        raise Problem(409, "TOO_MANY_ATTEMPTS", f"The work under {key!r} failed {ATTEMPTS_MAX} times; use a new key.")

    def _finalize(self, user_id: str, key: str, response: Response) -> None:
        if response.status_code >= BAD_REQUEST:
            self._give_back(user_id, key, f"The work ended with status {response.status_code}.")
            return
        try:
            self._counter.commit(user_id, key)
        except Problem as problem:
            log.warning("credits.not_committed", user=user_id, key=key, reason=problem.detail)

    def _give_back(self, user_id: str, key: str, reason: str) -> None:
        """Release the reservation.

        One that can't be released expires, and the caller gets the outcome of the work either way.
        """
        try:
            self._counter.release(user_id, key, reason)
        except Problem as problem:
            log.warning("credits.not_released", user=user_id, key=key, reason=problem.detail)


class LocalBackend:
    """The counter of an application that holds the credits itself."""

    def reserve(self, user_id: str, key: str, amounts: Amounts) -> ReservationState:
        """Hold credits in a transaction of its own. Raises Problem and what `consume` raises."""
        operation = Operation(user_id, key, amounts, ACTOR, EntryType.RESERVE)
        receipt = run_reservation(operation, ttl=DEFAULT_TTL, now=clock.now())
        request_outcomes.end_serving(FLAG)
        if problem := serializers.refusal(receipt):
            raise problem
        return reservation_state(user_id, key) if receipt.replayed else ReservationState.PENDING

    def commit(self, user_id: str, key: str) -> None:
        """Keep everything that was held."""
        now = clock.now()
        self._finalized(
            user_id, key, lambda session: reservations.commit(session, user_id, key, now=now, actor=ACTOR), now
        )

    def release(self, user_id: str, key: str, reason: str) -> None:
        """Give everything back."""
        now = clock.now()

        def release(session: Session) -> object:
            return reservations.release(session, user_id, key, now=now, actor=ACTOR, reason=reason)

        self._finalized(user_id, key, release, now)

    def _finalized(self, user_id: str, key: str, finalize: Callable[[Session], object], now: datetime) -> None:
        try:
            run_finalization(user_id, key, finalize, now=now)
            request_outcomes.end_serving(FLAG)
        except (reservations.FinalizedDifferentlyError, reservations.UnknownReservationError) as error:
            raise Problem(409, "RESERVATION_SETTLED", str(error.args[0])) from error
        except KeyBusyError as error:
            raise serializers.account_busy() from error


def reservation_state(user_id: str, key: str) -> ReservationState:
    """Return the state of the reservation under `key`. Raises Problem when there is none."""
    with read_only() as session:
        reservation = rows.find(session, *reservation_place(session, user_id, key))
    if reservation is None:
        raise Problem(409, "IDEMPOTENCY_KEY_REUSED", f"Key {key!r} was used for something that reserved nothing.")
    return reservation.state


def _refused(problem: Problem) -> Response:
    """Return the refusal as any Flask application can send it."""
    body = json.dumps(problem.document())
    return Response(body, problem.status, headers=problem.headers, content_type=MEDIA_TYPE)


_OWN = CreditsGuard(LocalBackend(), acting_user)
require_analysis_credits = _OWN.require_analysis_credits
require_roast_credits = _OWN.require_roast_credits
require_both_credits = _OWN.require_both_credits
