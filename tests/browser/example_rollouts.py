"""A rollout worth looking at: the guide's, two phases on, with two hours of traffic that the guard has judged."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from flask import Flask

from alerts import guard_job
from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists.guide import guide_plan
from control_plane.core.default_plan import default_plan
from control_plane.core.phase_gates import Approvals, ApproverRole, PhaseGates
from control_plane.core.transitions import Transition
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample
from control_plane.rollouts import approvals
from credits_engine.billing.inbox import webhook
from credits_engine.billing.store import inbox
from credits_engine.engines.amounts import Amounts
from credits_engine.operations.consumption import Operation
from credits_engine.operations.execution import run_operation
from flags.administration.definitions import create_flag
from flags.administration.edits import edit_definition
from flags.administration.segments import edit_segment
from flags.store.directory import UserAttributes, upsert_users

SPARE_FLAGS = (
    "BY_KEYBOARD",
    "STOPPED_BY_KEYBOARD",
    "FOLLOWED",
    "HOVERED",
    "WRITTEN",
    "OPENED",
    "TITLED",
    "WITHOUT_SCRIPT",
    "APPROVED_BY_CLICKS",
    "ARCHIVED_BY_CLICKS",
    "HELD_BY_CLICKS",
    "STOPPED_BY_CLICKS",
    "STOPPED_FROM_ANYWHERE",
    "TOLD",
    "NOT_TOLD",
    "SEEN",
)
"""One for each test that changes a rollout, so that none meets what another left behind."""
PLAIN_FLAG = "checkout"
APPROVED_FLAG = "SEARCH_BY_MEANING"
"""Its plan asks two others to approve each step, and one of them has."""
STRIPE_EVENT = "evt_staged"
USER = "u-17"
OTHER_USERS = range(100, 500)
TRAFFIC_MINUTES = 125
OPERATIONS = range(30, 80)
FAILURE_RATES = {"v2": 0.002, "legacy": 0.004}
NEW_SIGNUPS = 0.1


def set_up(app: Flask, now: datetime) -> None:
    """Bring FLAG and the spare flags to 10 % of new signups, and let FLAG have its traffic."""
    with app.app_context():
        for flag in (FLAG, *SPARE_FLAGS):
            _bring_to_new_signups(flag, now)
        _wait_for_approvals(now)
        _live_through(now)
        _consume(now)
        _add_flag(now)
        _deliver_event(now)


def _bring_to_new_signups(flag: str, now: datetime) -> None:
    moments = [now - timedelta(days=days, hours=3) for days in (17, 9, 2)]
    with transaction() as session:
        reason = "The Credits v2 rollout guide."
        plan = (guide_plan if flag == FLAG else default_plan)(moments[0])
        rollouts.plan(session, flag, plan, ChangeContext(moments[0], "alice", reason))
        for version, (_, moment) in enumerate(pairwise(moments), start=1):
            approval = "Reviewed with support; the audience is too small for a proof."
            decision = rollouts.advance(
                session, flag, ChangeContext(moment, "alice"), expected_version=version, approval=approval
            )
            assert isinstance(decision, Transition), decision


def _wait_for_approvals(now: datetime) -> None:
    begun = now - timedelta(days=8)
    guide, roles = default_plan(begun), (ApproverRole.OWNER, ApproverRole.APPROVER)
    gates = PhaseGates(approvals=Approvals(2, roles))
    plan = replace(guide, phases=tuple(replace(phase, gates=gates) for phase in guide.phases))
    with transaction() as session:
        rollouts.plan(session, APPROVED_FLAG, plan, ChangeContext(begun, "paula", "Search finds what is meant."))
        approved = ChangeContext(now - timedelta(hours=3), "ruth", "Support has seen it on staging, nothing to add.")
        found = rollouts.find(session, APPROVED_FLAG)
        approvals.approve(session, found, approved, role="owner", expected_version=found.version)


def _live_through(now: datetime) -> None:
    chance = random.Random(297)
    for minute in range(TRAFFIC_MINUTES, -1, -1):
        moment = now - timedelta(minutes=minute)
        if minute < TRAFFIC_MINUTES:
            for _ in range(chance.choice(OPERATIONS)):
                signals.record(*_operation(chance))
        guard_job.run_guard(moment, 1)


def _consume(now: datetime) -> None:
    """Fill the directory and consume for one of its users, until v2 and legacy have different limits to go by."""
    others = [UserAttributes(f"u-{number}", "free", now - timedelta(days=number % 60)) for number in OTHER_USERS]
    with transaction() as session:
        upsert_users(session, [UserAttributes(USER, "starter", now - timedelta(days=40), beta=True), *others], now=now)
    for number in range(12):
        moment = now - timedelta(minutes=30 - number)
        run_operation(Operation(USER, f"roast-{number}", Amounts(roast=1), "service"), now=moment)


def _deliver_event(now: datetime) -> None:
    """Deliver an event of Stripe's that can be applied once more."""
    document = {
        "id": STRIPE_EVENT,
        "object": "event",
        "type": "invoice.paid",
        "api_version": "2025-03-31.basil",
        "created": int(now.timestamp()),
        "livemode": False,
        "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_R7f3KxQ2aB4cDe"}},
    }
    with transaction() as session:
        inbox.add_delivery(session, [webhook.parse(json.dumps(document).encode(), now)])


def _add_flag(now: datetime) -> None:
    """Add a flag without a rollout, with all that its page can show."""
    change = ChangeContext(now - timedelta(hours=2), "alice", "The new till.")
    share = {"rollout": "25", "groupId": "checkout", "stickiness": "userId"}
    country = {"contextName": "country", "operator": "IN", "values": ["ES", "FR"]}
    strategies = [{"name": "flexibleRollout", "parameters": share, "segments": [3], "constraints": [country]}]
    variants = [{"name": name, "weight": 500, "payload": {"type": "string", "value": name}} for name in ("blue", "red")]
    fields = {"strategies": strategies, "variants": variants}
    with transaction() as session:
        create_flag(session, PLAIN_FLAG, {"production": True, "staging": False}, change, description="The new till.")
        edit_segment(session, "production", 3, {"name": "Testers", "constraints": [country]}, change, version=0)
        edit_definition(session, PLAIN_FLAG, "production", fields, change, version=1)


def _operation(chance: random.Random) -> Iterator[Sample]:
    served = "v2" if chance.random() < NEW_SIGNUPS else "legacy"
    for engine, rate in FAILURE_RATES.items():
        role = "served" if engine == served else "shadow"
        yield Sample("credit_consumption_failure", chance.random() < rate, engine, role)
    yield Sample("credit_variance", bad=False)
    yield Sample("credit_drift", bad=False)
    yield Sample("api_error_rate", bad=False)
    yield Sample("database_query_slow", chance.random() < 0.006)
    if chance.random() < 0.02:
        yield Sample("billing_webhook_failure", bad=False)
