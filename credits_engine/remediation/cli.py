"""`rollout credits remediation`: what v2 served during the incident, what it cost whom, and the corrections."""

import click
from sqlalchemy.orm import Session

from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from credits_engine.remediation import approval, preparation, serializers, store
from credits_engine.remediation.approval import ApprovalRefused, UnknownReportError
from credits_engine.remediation.store import Report

LISTED = 50

attempt_option = click.option("--attempt", type=ROW_ID, help="Which attempt's rollback; default: the last one.")


@click.group("remediation")
def after_rollback_group() -> None:
    """Show what a rolled back attempt cost whom, and approve the corrections."""


@after_rollback_group.command("list")
@json_option
@in_application
def list_command(*, as_json: bool) -> None:
    """List the reports, the newest first."""
    preparation.prepare(clock.now())
    with read_only() as session:
        found = [(report, store.count_by_state(session, report.id)) for report in store.latest(session)]
    lines = [line for each in found for line in serializers.report_lines(*each)]
    text = "\n".join(lines) or "Nothing was rolled back yet."
    echo_result({"reports": [serializers.report_document(*each) for each in found]}, text, as_json=as_json)


@after_rollback_group.command("show")
@attempt_option
@json_option
@in_application
def show_command(*, attempt: int | None, as_json: bool) -> None:
    """Show one report with what the incident cost each account."""
    preparation.prepare(clock.now())
    with read_only() as session:
        report = _chosen(session, attempt)
        counts = store.count_by_state(session, report.id)
        items = store.items(session, report.id, limit=LISTED + 1)
    more = [f"    … and more; GET /api/admin/credits/rollbacks/{report.flag}/{report.attempt}?format=csv has them all."]
    lines = [
        *serializers.report_lines(report, counts),
        *map(serializers.item_line, items[:LISTED]),
        *(more if len(items) > LISTED else []),
    ]
    page = {"items": [serializers.item_document(item) for item in items[:LISTED]]}
    echo_result(serializers.report_document(report, counts) | page, "\n".join(lines), as_json=as_json)


@after_rollback_group.command("approve")
@attempt_option
@reason_option("Why; kept in the journal and in the audit trail.")
@json_option
@in_application
def approve_command(*, attempt: int | None, reason: str, as_json: bool) -> None:
    """Give back what the report proposes, once, however often this is repeated."""
    now = clock.now()
    try:
        with transaction() as session:
            report = _chosen(session, attempt)
            approval.approve(session, report.flag, report.attempt, now=now, actor=actor(), reason=reason)
    except ApprovalRefused as error:
        raise CommandFailed(str(error)) from error
    while approval.post_approved(now):
        continue
    with read_only() as session:
        report = _chosen(session, report.attempt)
        counts = store.count_by_state(session, report.id)
    text = "\n".join(serializers.report_lines(report, counts))
    echo_result(serializers.report_document(report, counts), text, as_json=as_json)


def _chosen(session: Session, attempt: int | None) -> Report:
    try:
        if attempt is not None:
            return approval.find_report(session, FLAG, attempt)
    except UnknownReportError as error:
        raise CommandFailed(str(error)) from error
    latest = store.latest(session, flag=FLAG, limit=1)
    if not latest:
        raise CommandFailed("There is no report; one is made within seconds of a rollback.")
    return latest[0]
