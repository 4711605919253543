"""`rollout audit`: verify the trail of changes, and seal it."""

import sys
from datetime import UTC, datetime

import click

from control_plane.platform.auth import audit, audit_head
from control_plane.platform.db import database
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, in_application, json_option


@click.group("audit")
def audit_group() -> None:
    """The audit trail."""


@audit_group.command("verify")
@click.option("--anchor", default="", help="What an earlier check printed; those entries must still be there.")
@json_option
@in_application
def verify_command(*, anchor: str, as_json: bool) -> None:
    """Recompute the chain and compare its end with what was sealed; exit code 1 if anything does not fit."""
    with database.read_only() as session:
        result = audit.verify(session)
        try:
            lost = bool(anchor) and not audit_head.holds(session, anchor)
        except audit_head.AnchorError as error:
            raise CommandFailed(str(error)) from error
        sealed_from = audit_head.sealed_from(session)
    lines = [_verified(result)]
    if lost:
        lines.append("The trail no longer has the entries that the anchor names: it was cut off, replaced or restored.")
    if sealed_from > 1:
        lines.append(f"Entries before {sealed_from} were not sealed when they were written.")
    if result.intact and not lost:
        lines.append(f"Anchor, to be kept elsewhere: {result.end.anchor}")
    document = {"checked": result.checked, "first_broken": result.first_broken, "problem": result.problem}
    document |= {"anchor": result.end.anchor, "anchor_lost": lost, "sealed_from": sealed_from}
    echo_result(document, "\n".join(lines), as_json=as_json)
    sys.exit(0 if result.intact and not lost else 1)


@audit_group.command("seal")
@click.option("--reason", required=True, help="Why the trail may be believed as it is; kept in the trail.")
@json_option
@in_application
def seal_command(*, reason: str, as_json: bool) -> None:
    """Seal the trail again as it is, after a change of SECRET_KEY or an explained loss."""
    with database.transaction() as session:
        audit.seal(session, now=datetime.now(UTC), actor=actor(), reason=reason)
    echo_result({"sealed": True}, "Sealed. It proves nothing about the entries from before.", as_json=as_json)


def _verified(result: audit.Verification) -> str:
    if result.first_broken is not None:
        return f"Entry {result.first_broken} is not as it was written; {result.checked} before it are."
    if result.problem:
        return f"{result.checked} entries fit each other, but the trail is not whole. {result.problem}"
    return f"{result.checked} entries, every one as it was written."
