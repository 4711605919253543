"""Work of the leader: ask the addresses that plans name, and keep what they answered for the gates.

No redirect is followed, no body is read, and a check that takes longer than five seconds has no answer, however slowly
the address sends it.
"""

import threading
from collections.abc import Iterable
from datetime import datetime
from http.client import HTTPException
from queue import Empty, SimpleQueue
from time import monotonic
from urllib.error import HTTPError, URLError
from urllib.request import Request

from flask import Flask

from control_plane.core.gates import HttpCheckResult
from control_plane.core.phases import RolloutState
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.http.no_redirects import NOT_FOLLOWED, is_redirect, open_url
from control_plane.platform.runtime import jobs
from control_plane.rollouts import store

POLL_SECONDS = 30.0
TIMEOUT_SECONDS = 5.0
Question = tuple[str, int]
"""An address and the status that it should answer with."""


def poll(now: datetime) -> None:
    """Ask every address of the phases that rollouts are in, all at once, and keep the answers."""
    with read_only() as session:
        wanted = {
            (check.url, check.status)
            for rollout in store.load_all(session)
            if rollout.state in (RolloutState.RUNNING, RolloutState.HELD)
            for check in rollout.phase.gates.http_checks
        }
    if not wanted:
        return
    answers = ask_all(wanted)
    with transaction() as session:
        for (url, status), (passed, sentence) in answers.items():
            store.put_http_check(session, url, status, HttpCheckResult(passed, sentence, now))


def ask_all(wanted: Iterable[Question]) -> dict[Question, tuple[bool, str]]:
    """Ask all addresses at once; return whether each answered as it should, and how, as the end of a sentence."""
    answered: SimpleQueue[tuple[Question, tuple[bool, str]]] = SimpleQueue()
    waiting = set(wanted)
    for question in waiting:
        # A thread each, which nobody waits for at the end: a socket's timeout is for one read, and an address that
        # sends a byte now and then would hold up all others.
        ask = threading.Thread(target=lambda each=question: answered.put((each, _ask(*each))), daemon=True)
        ask.start()
    ends = monotonic() + TIMEOUT_SECONDS
    answers = dict.fromkeys(waiting, (False, f"gave no answer within {TIMEOUT_SECONDS:g} seconds."))
    while waiting and (left := ends - monotonic()) > 0:
        try:
            question, answer = answered.get(timeout=left)
        except Empty:
            break
        answers[question] = answer
        waiting.discard(question)
    return answers


def init_app(app: Flask) -> None:
    """Put the asking on the leader's schedule."""
    jobs.run_on_leader(app, POLL_SECONDS, "poll-http-checks", poll)


def _ask(url: str, status: int) -> tuple[bool, str]:
    try:
        with open_url(Request(url, headers={"User-Agent": "rollout"}), timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310 - plans name http and https alone
            found = int(answer.status)
    except HTTPError as refusal:
        refusal.close()
        found = refusal.code
    except URLError as error:
        return False, f"can't be reached ({type(error.reason).__name__})."
    except (OSError, HTTPException, ValueError) as error:
        return False, f"gave no answer that can be read ({type(error).__name__})."
    if found == status:
        return True, f"answered {found}."
    if is_redirect(found):
        return False, f"{NOT_FOLLOWED}."
    return False, f"answered {found} instead of {status}."
