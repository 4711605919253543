"""Outcomes of answering a request: the guard counts them once somebody has proved who asks.

Anybody can send requests. A caller without valid credentials must not be able to move an alert, neither by failures
nor by successes, and most of what a request does happens before its credentials are known. So what is observed waits
in the request until it is answered.
"""

from flask import has_request_context, request

from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample

WAITING = "rollout.observations"
PROVED = "rollout.proved"
ACCOUNT = "rollout.account"
ENGINE = "rollout.engine"


def begin() -> None:
    """Let observations wait from now on."""
    request.environ[WAITING] = []


def prove(caller: str) -> None:
    """Note that valid credentials of `caller` opened this request."""
    if has_request_context():
        request.environ[PROVED] = caller


def set_account(account: str) -> None:
    """Note whose credits the request is about: failures of one account count once an hour."""
    if has_request_context():
        request.environ[ACCOUNT] = account


def set_engine(engine: str) -> None:
    """Note which engine the request was routed to."""
    if has_request_context():
        request.environ[ENGINE] = engine


def account() -> str:
    """Return the account that a failure of this request counts for, else the caller."""
    environ = request.environ
    route = request.url_rule.rule if request.url_rule else ""
    return environ.get(ACCOUNT) or f"{environ.get(PROVED, '')} {route}"


def engine() -> str:
    """The engine that the request was routed to; empty where it was routed to none."""
    found: str = request.environ.get(ENGINE, "")
    return found


def observe(*observations: Sample) -> None:
    """Count `observations` once the caller has proved who they are; at once where no request is being answered."""
    if not has_request_context() or WAITING not in request.environ:
        signals.record(*observations)
        return
    waiting: list[Sample] | None = request.environ[WAITING]
    if waiting is not None:
        waiting.extend(observations)
    elif PROVED in request.environ:  # the answer is a stream that goes on after its beginning was counted
        signals.record(*observations)


def end() -> None:
    """Count what waited if the caller has proved who they are, and forget it if not."""
    waiting = request.environ[WAITING]
    if PROVED in request.environ:
        signals.record(*waiting)
    request.environ[WAITING] = None
