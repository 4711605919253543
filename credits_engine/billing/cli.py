"""`rollout billing …`: what an operator asks of Stripe's events at a terminal."""

import json
import sys
from collections.abc import Callable

import click

from control_plane.change_context import ChangeContext
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.problems import Problem
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from credits_engine.billing import serializers
from credits_engine.billing.api import stripe_gateway
from credits_engine.billing.inbox import commands, merges
from credits_engine.billing.prices_cli import prices_group
from credits_engine.billing.reconciliation import corrections
from credits_engine.billing.reconciliation.comparison import Discrepancy, reconcile
from credits_engine.billing.reconciliation.corrections import Correction
from credits_engine.billing.store import accounts, inbox_queries
from credits_engine.billing.store.inbox import State
from credits_engine.billing.stripe_api.client import BreakerOpenError, StripeUnavailableError

FINDINGS_MAX = 200


@click.group("billing")
def billing_group() -> None:
    """Look at Stripe's events and what became of them, and whether our plans agree with Stripe's."""


billing_group.add_command(prices_group)


@billing_group.command("events")
@click.option("--state", type=click.Choice([each.value for each in State]), help="Only events in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True)
@json_option
@in_application
def events_command(*, state: str | None, limit: int, as_json: bool) -> None:
    """List the newest events, and count those that wait."""
    with read_only() as session:
        summary = serializers.summary(session, clock.now())
        rows = inbox_queries.page(session, state=State(state) if state else None, limit=limit)
    events = [serializers.event(row) for row in rows]
    waiting = ", ".join(f"{number} {name}" for name, number in summary["waiting"].items())
    lines = [f"{waiting}; the oldest waits for {summary['oldestUnappliedSeconds']} s.", *map(_line, events)]
    echo_result(summary | {"events": events}, "\n".join(lines), as_json=as_json)


@billing_group.command("show")
@click.argument("name", metavar="EVENT_OR_USER")
@json_option
@in_application
def show_command(*, name: str, as_json: bool) -> None:
    """Show one event with its body and attempts, or what a user's subscriptions entitle to."""
    with read_only() as session:
        row = inbox_queries.event(session, name)
        account = None if row else accounts.show_account(session, name)
        if row is not None:
            document = serializers.event_in_full(session, row)
        elif account is not None:
            document = serializers.account(session, account)
        else:
            raise CommandFailed(f"{name!r} is neither an event in the inbox nor a user whom one is about.")
    echo_result(document, _document_text(document), as_json=as_json)


@billing_group.command("replay")
@click.argument("event_ids", metavar="[EVENT]...", nargs=-1)
@click.option("--state", type=click.Choice([State.PARKED.value, State.DEAD.value]), help="All that are in this state.")
@reason_option()
@json_option
@in_application
def replay_command(*, event_ids: tuple[str, ...], state: str | None, reason: str, as_json: bool) -> None:
    """Apply EVENTs once more, or all that are parked or dead. The running server does it."""
    if bool(event_ids) == bool(state):
        raise click.UsageError("Name events, or a --state.")
    now, done = clock.now(), list(event_ids)
    try:
        with transaction() as session:
            if state:
                done = commands.replay_all(session, State(state), now=now, actor=actor(), reason=reason)
            for event_id in event_ids:
                commands.replay(session, event_id, now=now, actor=actor(), reason=reason)
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result({"replayed": done}, f"{len(done)} events will be applied once more.", as_json=as_json)


@billing_group.command("link")
@click.argument("customer_id", metavar="CUSTOMER")
@click.argument("user_id", metavar="USER")
@reason_option()
@json_option
@in_application
def link_command(*, customer_id: str, user_id: str, reason: str, as_json: bool) -> None:
    """Say that CUSTOMER of Stripe is our USER; the events that waited for it go on."""
    try:
        with transaction() as session:
            released = commands.link(session, customer_id, user_id, now=clock.now(), actor=actor(), reason=reason)
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    document = {"customer": customer_id, "userId": user_id, "released": released}
    echo_result(
        document, f"Linked {customer_id} to {user_id}; {released} waiting events will be applied.", as_json=as_json
    )


@billing_group.command("merge")
@click.argument("user_id", metavar="USER")
@click.argument("into", metavar="INTO")
@reason_option()
@json_option
@in_application
def merge_command(*, user_id: str, into: str, reason: str, as_json: bool) -> None:
    """Make every customer of USER one of INTO: subscriptions, packs, what rolled over and what was used move along."""
    try:
        with transaction() as session:
            changes = merges.merge(session, user_id, into, ChangeContext(clock.now(), actor(), reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    document = {"userId": user_id, "into": into, "changes": changes}
    echo_result(document, " ".join((f"{user_id} is part of {into} now.", *changes)), as_json=as_json)


@billing_group.command("reconcile")
@click.option("--apply", "correct", is_flag=True, help="Correct what differs, from Stripe's word.")
@json_option
@in_application
def reconcile_command(*, correct: bool, as_json: bool) -> None:
    """Compare our plans and periods with Stripe's subscriptions, and its prices with our catalogue.

    Exit code 1 when something differs and stays so, and when Stripe answered a part of it only.
    """
    findings: list[Discrepancy] = []
    compared, error_text = 0, ""
    try:
        for each in reconcile(stripe_gateway(), now=clock.now(), actor=actor(), correct=correct):
            if isinstance(each, Discrepancy):
                findings.append(each)
            else:
                compared += each
                click.echo(f"{compared} subscriptions compared, {len(findings)} differ.", err=True)
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    except (StripeUnavailableError, BreakerOpenError) as error:
        error_text = str(error)
    lines = [f"{compared} subscriptions compared, {len(findings)} differ."]
    lines += [f"  {each.subscription_id}  {each.kind}  {each.user_id or '?'}  {_fate(each)}" for each in findings]
    lines += [f"Broken off: {error_text}"] if error_text else []
    echo_result(serializers.report(findings, compared) | {"error": error_text}, "\n".join(lines), as_json=as_json)
    sys.exit(0 if not error_text and all(each.is_corrected for each in findings) else 1)


@billing_group.command("findings")
@json_option
@in_application
def findings_command(*, as_json: bool) -> None:
    """List what differs from Stripe and nobody has closed. Compared daily and after an outage, with STRIPE_API_KEY."""
    with read_only() as session:
        document = serializers.findings_page(session, limit=FINDINGS_MAX)
    lines = [f"{len(document['findings'])} open; compared at {document['comparedAt'] or 'no time yet'}."]
    lines += [f"Broken off: {document['error']}"] if document["error"] else []
    for each in document["findings"]:
        lines.append(f"  {each['id']}  {each['kind']}  {each['userId'] or '?'}  {each['sentence']}")
    echo_result(document, "\n".join(lines), as_json=as_json)


@billing_group.command("apply")
@click.argument("finding_id", metavar="FINDING", type=ROW_ID)
@reason_option()
@json_option
@in_application
def apply_command(*, finding_id: int, reason: str, as_json: bool) -> None:
    """Correct FINDING from Stripe's word."""
    _close(lambda change: corrections.apply(stripe_gateway(), finding_id, change), reason, as_json=as_json)


@billing_group.command("dismiss")
@click.argument("finding_id", metavar="FINDING", type=ROW_ID)
@reason_option()
@json_option
@in_application
def dismiss_command(*, finding_id: int, reason: str, as_json: bool) -> None:
    """Close FINDING without a correction; the next comparison opens it again where it still holds."""
    _close(lambda change: corrections.dismiss(finding_id, change), reason, as_json=as_json)


def _close(order: Callable[[ChangeContext], Correction], reason: str, *, as_json: bool) -> None:
    try:
        done = order(ChangeContext(clock.now(), actor(), reason))
    except Problem as problem:
        raise CommandFailed(problem.detail) from problem
    echo_result(serializers.correction(done), done.sentence, as_json=as_json)


def _fate(finding: Discrepancy) -> str:
    return f"{finding.sentence} Corrected." if finding.is_corrected else finding.sentence


def _line(event: serializers.Document) -> str:
    about = event["customer"] or event["object"] or ""
    columns = (event["receivedAt"][:19], event["eventId"], event["type"], about, event["state"], event["reason"])
    return f"  {'  '.join(columns)}"


def _document_text(document: serializers.Document) -> str:
    """Return names and values, one to a line; lists and objects as JSON below them."""
    lines = []
    for name, value in document.items():
        plain = value if isinstance(value, str | int) else json.dumps(value, indent=2, ensure_ascii=False)
        lines.append(f"{name}: {plain}")
    return "\n".join(lines)
