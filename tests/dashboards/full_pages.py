"""What makes every page say something: flags of every strategy, credits of both kinds, findings, a rollback."""

from dataclasses import replace
from datetime import datetime, timedelta

from flask import Flask

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.plans import administration
from credits_engine.administration.top_ups import Purchase, top_up
from credits_engine.billing.store import findings
from credits_engine.billing.store.findings import Finding
from credits_engine.engines import v2
from credits_engine.engines.amounts import Amounts, Kind
from credits_engine.engines.decisions import Book, Decision, Request
from credits_engine.operations.consumption import EnginePolicy, Engines, FlagEvaluation, Operation, consume
from credits_engine.remediation import preparation
from flags import store
from flags.administration.definitions import create_flag
from flags.administration.edits import edit_definition
from flags.administration.segments import edit_segment
from flags.client_features.refresher import feature_provider
from flags.store.directory import UserAttributes, upsert_users
from flags.usage.connections import Connection, Mode
from tests.dashboards.browsing import write_session

WHY = "Porque sí."
USER = "u-17"
CONDITIONS = [
    {"contextName": "country", "operator": "IN", "values": ["ES", "FR"], "inverted": True},
    {"contextName": "age", "operator": "NUM_GTE", "value": "18"},
    {"contextName": "version", "operator": "SEMVER_GT", "value": "1.2.0"},
    {"contextName": "currentTime", "operator": "DATE_AFTER", "value": "2026-01-01T00:00:00.000Z"},
    {"contextName": "remoteAddress", "operator": "IN_CIDR", "values": ["10.0.0.0/8"]},
]
STRATEGIES = [
    {"name": "userWithId", "parameters": {"userIds": ",".join(f"u{number}" for number in range(9))}},
    {"name": "remoteAddress", "parameters": {"IPs": "10.0.0.1"}},
    {"name": "applicationHostname", "parameters": {"hostNames": "web-1"}},
    {"name": "gradualRolloutRandom", "parameters": {"percentage": "20"}},
    {"name": "default", "parameters": {}, "constraints": CONDITIONS},
]
DIFFERENCES = (
    "Stripe has status past_due instead of active, prices pro_monthly, extra_seat instead of plus_monthly, period "
    "until 2026-12-01T00:00:00Z instead of none, ends with its period yes instead of no, and we know it as of "
    "2026-11-01T10:00:00Z. An event was missed or is on its way."
)
UNSOLD = "is on sale at Stripe and buys no plan of the catalogue."
PLAN = """new_signups_after: 2026-01-01T00:00:00Z
phases:
- name: pro
  title: Para profesionales
  audience: attributes
  steps: [50, 100]
  soak: PT1H
  constraints:
  - {context_name: plan, operator: IN, values: [pro, team]}
  - {context_name: age, operator: NUM_GTE, values: ['18'], inverted: true}
- {name: vip, title: Clientes fieles, audience: attributes, segment: fieles, steps: [20, 100], soak: PT1H}
"""
LOYAL = {"contextName": "plan", "operator": "IN", "values": ["vip"]}
BY_V2 = FlagEvaluation(enabled=True, reason="rollout: everyone", revision=1)


def fill(app: Flask, now: datetime) -> None:
    """Fill the pages that the rollouts of the browser tests leave empty."""
    _add_flags(app, now)
    _add_credits(app, now)
    _add_findings(app, now)
    with app.app_context():
        newest = feature_provider().current("production").feature_set.id
    found = [
        Connection(name, "production", f"app-{name}", name, "node:6.5.0", mode, newest - behind, now, now)
        for name, mode, behind in (("a", Mode.POLLING, 0), ("b", Mode.STREAMING, 1))
    ]
    with write_session(app) as session:
        store.put_connections(session, found)


def roll_back(app: Flask, now: datetime) -> None:
    """Roll back after v2 charged twice, and let it be added up what that cost."""
    with write_session(app) as session:
        rollouts.roll_back(session, FLAG, ChangeContext(now, "olga", WHY))
    with app.app_context():
        preparation.prepare(now + timedelta(seconds=30))


def _add_flags(app: Flask, now: datetime) -> None:
    change = ChangeContext(now, "alice", WHY)
    needs = [{"feature": "parent"}, {"feature": "older", "enabled": False}]
    with write_session(app) as session:
        for name in ("parent", "older", "search"):
            create_flag(session, name, {"production": False}, change, description=WHY)
        fields = {"enabled": True, "strategies": STRATEGIES, "dependencies": needs}
        edit_definition(session, "search", "production", fields, change, version=1)
        edit_segment(session, "production", 8, {"name": "fieles", "constraints": [LOYAL]}, change, version=0)
        rollouts.plan(session, *administration.read_text(session, "PRO_ONLY", PLAN), change)
        edit_segment(session, "production", 8, {"name": "fieles", "constraints": CONDITIONS}, change, version=1)


def _add_credits(app: Flask, now: datetime) -> None:
    earlier = now - timedelta(minutes=5)
    with write_session(app) as session:
        upsert_users(session, [UserAttributes("u-18", "starter", now - timedelta(days=40))], now=now)
    asked = Amounts(analysis=2, roast=1)
    for user in (USER, "u-18"):
        with write_session(app) as session:
            consume(
                session,
                Operation(user, f"both-{user}", asked, "service"),
                now=earlier,
                evaluate=lambda _: BY_V2,
                policy=EnginePolicy(engines=Engines(v2=_doubling)),
            )
    with write_session(app) as session:
        pack = Purchase(USER, Kind("analysis"), 50, now + timedelta(days=30))
        top_up(session, pack, ChangeContext(earlier, "alice", WHY), key="pack")


def _add_findings(app: Flask, now: datetime) -> None:
    with write_session(app) as session:
        told = [
            Finding("missed_state", "sub_1", USER, DIFFERENCES),
            Finding("gone", "sub_2", USER, "We rely on this subscription, and Stripe does not have it."),
            Finding("unknown_price", "price", None, f"Price pro_old or price_1 {UNSOLD}"),
        ]
        findings.add(session, told, now=now)


def _doubling(book: Book, request: Request) -> Decision:
    decision = v2.decide(book, request)
    return replace(decision, charged=decision.charged + decision.charged)
