"""`rollout checklist`: what is to be done, and signing what no check can tell."""

from datetime import datetime

import click

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.checklists import api, progress, signatures
from control_plane.checklists.signatures import ItemAddress
from control_plane.core.checklist import ChecklistState, ItemState, ItemStatus
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import actor, echo_result, in_application, json_option, reason_option

MARKS = {ItemStatus.TICKED: "[x]", ItemStatus.OPEN: "[ ]", ItemStatus.FAILING: "[!]", ItemStatus.UNKNOWN: "[?]"}
flag_option = click.option("--flag", default=FLAG, show_default=True, help="The flag whose rollout this is about.")
phase_option = click.option("--phase", default="", help="The phase. Default: the current one.")


@click.group("checklist")
def checklist_group() -> None:
    """Look at the checklists of a plan and sign their items."""


@checklist_group.command("show")
@flag_option
@json_option
@in_application
def show_command(*, flag: str, as_json: bool) -> None:
    """Show every checklist and how its items stand: [x] done, [ ] to be signed, [!] not true, [?] can't be told."""
    now = clock.now()
    with read_only() as session:
        found = progress.read(session, rollouts.find(session, flag), now).all
    documents = [api.document(state, now) for state in found]
    lines = [line for state in found for line in _lines(state, now)]
    echo_result({"checklists": documents}, "\n".join(lines) or "The plan has no checklists.", as_json=as_json)


@checklist_group.command("sign")
@click.argument("checklist")
@click.argument("item")
@click.option("--note", default="", help="What was done.")
@click.option("--link", default="", help="Where that can be seen.")
@phase_option
@flag_option
@json_option
@in_application
def sign_command(*, checklist: str, item: str, note: str, link: str, phase: str, flag: str, as_json: bool) -> None:
    """Sign ITEM of CHECKLIST with a note or a link."""
    change = ChangeContext(clock.now(), actor(), note)
    with transaction() as session:
        rollout, address = rollouts.find(session, flag), ItemAddress(checklist, item, phase)
        state = signatures.sign(session, rollout, address, change, link=link)
    echo_result(api.item_document(state), _line(state), as_json=as_json)


@checklist_group.command("withdraw")
@click.argument("checklist")
@click.argument("item")
@reason_option()
@phase_option
@flag_option
@json_option
@in_application
def withdraw_command(*, checklist: str, item: str, reason: str, phase: str, flag: str, as_json: bool) -> None:
    """Take the signature of ITEM of CHECKLIST back."""
    change = ChangeContext(clock.now(), actor(), reason)
    with transaction() as session:
        signatures.withdraw(session, rollouts.find(session, flag), ItemAddress(checklist, item, phase), change)
    echo_result({"withdrawn": True}, "The signature is taken back.", as_json=as_json)


def _lines(state: ChecklistState, now: datetime) -> list[str]:
    due = f", due {state.due_at:%Y-%m-%d}" if state.due_at else ""
    late = ", late" if state.is_late(now) else ""
    place = f" ({state.phase})" if state.phase else ""
    heading = f"{state.checklist.title}{place}: {state.ticked} of {len(state.items)}{due}{late}"
    return [heading, *(f"  {_line(each)}" for each in state.items)]


def _line(state: ItemState) -> str:
    return f"{MARKS[state.status]} {state.item.name}: {state.item.title}. {state.sentence}"
