"""`rollout audit`: read the trail of changes, verify it, and seal it."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from control_plane.audit.api import audit_filter
from control_plane.platform import clock
from control_plane.platform.auth import audit, audit_anchors, audit_export, audit_head, audit_search
from control_plane.platform.auth.audit import AuditEntry
from control_plane.platform.auth.audit_anchors import AnchorError
from control_plane.platform.auth.audit_head import End
from control_plane.platform.db import database
from control_plane.platform.runtime.cli_support import (
    ROW_ID,
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)

C = TypeVar("C", bound=Callable[..., object])


def filter_options(command: C) -> C:
    """Add the options by which entries are chosen."""
    for name, help_text in (
        ("until", "Only entries before this instant."),
        ("since", "Only entries from this date or instant on."),
        ("subject", "Only entries about this, such as person:olga."),
        ("action", "Only entries of this action, such as rollout.advance."),
        ("actor", "Only entries by this person, token or part of the program."),
        ("flag", "Only entries about this flag and its rollout."),
    ):
        command = click.option(f"--{name}", default="", help=help_text)(command)
    return command


@click.group("audit")
def audit_group() -> None:
    """Search, export and check the audit trail."""


@audit_group.command("list")
@filter_options
@click.option("--limit", type=click.IntRange(1, audit_search.PAGE_ENTRIES_MAX), default=20, show_default=True)
@click.option("--cursor", type=ROW_ID, help="The number of the last entry seen; older ones follow.")
@json_option
@in_application
def list_command(*, limit: int, cursor: int | None, as_json: bool, **wanted: str) -> None:
    """Show the newest entries, or those that a filter asks for."""
    with database.read_only() as session:
        found = audit_search.page(session, audit_filter(wanted), before=cursor, limit=limit + 1)
    listed = found[:limit]
    following = str(listed[-1].id) if len(found) > limit else None
    lines = [_line(entry) for entry in listed] or ["No entry fits."]
    if following:
        lines.append(f"Older ones follow with --cursor {following}.")
    document = {"entries": [audit.to_json(entry) for entry in listed], "next": following}
    echo_result(document, "\n".join(lines), as_json=as_json)


@audit_group.command("export")
@filter_options
@click.option(
    "--format",
    "form",
    type=click.Choice([each.value for each in audit_export.Format]),
    default="jsonl",
    show_default=True,
)
@click.option("--output", type=click.Path(dir_okay=False, allow_dash=True), default="-", help="A file instead.")
@in_application
def export_command(*, form: str, output: str, **wanted: str) -> None:
    """Write all entries, or those that a filter asks for, as JSON lines or CSV, the newest first."""
    entries = audit_search.every(audit_filter(wanted))
    try:
        with click.open_file(output, "w", encoding="utf-8") as file:
            for line in audit_export.lines(entries, audit_export.Format(form)):
                file.write(line)
    except OSError as error:
        raise CommandFailed(f"The trail can't be written to {output}: {error.strerror}.") from error


@audit_group.command("verify")
@click.option("--anchor", default="", help="What an earlier check printed; those entries must still be there.")
@click.option("--anchor-file", type=click.Path(path_type=Path), help="A file of anchors, as AUDIT_ANCHORS writes it.")
@json_option
@in_application
def verify_command(*, anchor: str, anchor_file: Path | None, as_json: bool) -> None:
    """Recompute the chain, compare its end with what was sealed and noted; exit code 1 if anything does not fit."""
    try:
        anchors = [*_own_anchors(), *([audit_anchors.parse(anchor)] if anchor else [])]
        anchors += audit_anchors.read_file(anchor_file) if anchor_file else []
    except AnchorError as error:
        raise CommandFailed(str(error)) from error
    with database.read_only() as session:
        result = audit.verify(session, anchors)
        known = audit_anchors.explained(session, result.anchors_lost)
        sealed_from = audit_head.sealed_from(session)
    lost = [end for end in result.anchors_lost if end not in known]
    lines = [_verified(result), *(f"Anchor {end.anchor}: {sentence}." for end, sentence in known.items())]
    if lost:
        newest = max(lost, key=lambda end: end.entries)
        lines.append("The trail no longer has the entries that the anchor names: it was cut off, replaced or restored.")
        lines.append(f"Of {len(anchors):,} anchors {len(lost):,} are not met; the newest is {newest.anchor}.")
    if sealed_from > 1:
        lines.append(f"Entries before {sealed_from} were not sealed when they were written.")
    if result.intact and not lost:
        lines.append(f"Anchor, to be kept elsewhere: {result.end.anchor}")
    document: dict[str, object] = {
        "checked": result.checked,
        "first_broken": result.first_broken,
        "problem": result.problem,
    }
    document |= {"anchor": result.end.anchor, "anchors": len(anchors), "anchor_lost": bool(lost)}
    document |= {"cut": list(known.values()), "sealed_from": sealed_from}
    echo_result(document, "\n".join(lines), as_json=as_json)
    sys.exit(0 if result.intact and not lost else 1)


@audit_group.command("seal")
@reason_option("Why the trail may be believed as it is; kept in the trail.")
@json_option
@in_application
def seal_command(*, reason: str, as_json: bool) -> None:
    """Seal the trail again as it is, after a change of SECRET_KEY or an explained loss."""
    with database.transaction() as session:
        audit.accept_trail(session, now=clock.now(), actor=actor(), reason=reason)
    echo_result({"sealed": True}, "Sealed. It proves nothing about the entries from before.", as_json=as_json)


def _own_anchors() -> list[End]:
    path = audit_anchors.own_file()
    return audit_anchors.read_file(path) if path.exists() else []


def _line(entry: AuditEntry) -> str:
    reason = f"  {entry.reason}" if entry.reason else ""
    return f"{entry.id:>7}  {entry.at:%Y-%m-%d %H:%M:%S}  {entry.actor}  {entry.action}  {entry.subject}{reason}"


def _verified(result: audit.Verification) -> str:
    if result.first_broken is not None:
        return f"Entry {result.first_broken} is not as it was written; {result.checked} before it are."
    if result.problem:
        return f"{result.checked} entries fit each other, but the trail is not whole. {result.problem}"
    return f"{result.checked} entries, every one as it was written."
