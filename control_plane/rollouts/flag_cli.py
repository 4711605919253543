"""`rollout` `list`, `approve`, `archive`, `revive`, `delete`: the commands on flags under a rollout as a whole."""

import click

from control_plane.change_context import ChangeContext
from control_plane.core.approval_gate import ApprovalSubject
from control_plane.core.lifecycle import Stage
from control_plane.platform import clock
from control_plane.platform.db import database
from control_plane.platform.identity_types import Role
from control_plane.platform.runtime.cli_support import actor, echo_result, in_application, json_option, reason_option
from control_plane.rollouts import answers, approvals, archive, listing, service, store
from control_plane.rollouts.cli_options import change_rollout, confirm_losing_option, flag_option, line
from control_plane.rollouts.listing import ListedState


@click.command("list")
@click.option("--tag", default="", help="Only those with this tag.")
@click.option(
    "--state", type=click.Choice([each.value for each in ListedState]), default=None, help="Only those in this state."
)
@click.option("--stage", type=click.Choice([each.value for each in Stage]), default=None, help="Only those that far.")
@click.option("--search", "q", default="", help="Only those with this text in name, description, owner or a tag.")
@json_option
@in_application
def list_command(*, tag: str, state: str | None, stage: str | None, q: str, as_json: bool) -> None:
    """List the rollouts, archived ones only by `--state archived` or `--stage retired`."""
    wanted = listing.RolloutQuery(
        tag=tag, state=ListedState(state) if state else None, stage=Stage(stage) if stage else None, q=q
    )
    now = clock.now()
    with database.read_only() as session:
        found, _ = listing.page(store.load_all(session), wanted, now)
    documents = [answers.listed(each, now) for each in found]
    lines = [f"{line(each)} ({document['stage']})" for each, document in zip(found, documents, strict=True)]
    echo_result({"rollouts": documents}, "\n".join(lines), as_json=as_json)


@click.command("approve")
@flag_option
@reason_option()
@click.option("--plan", "of_plan", is_flag=True, help="Not the step: that the plan asks for fewer approvals, or ends.")
@click.option("--withdraw", is_flag=True, help="Take back an approval that was given from here.")
@json_option
@in_application
def approve_command(*, flag: str, reason: str, of_plan: bool, withdraw: bool, as_json: bool) -> None:
    """Approve the next step, where the plan asks for approvals by others than who made it."""
    subject = ApprovalSubject.PLAN if of_plan else ApprovalSubject.STEP
    with database.transaction() as session:
        found, change = service.find(session, flag), ChangeContext(clock.now(), actor(), reason)
        if withdraw:
            given = approvals.withdraw(session, found, change, subject)
        else:
            given = approvals.approve(
                session, found, change, role=Role.OWNER, expected_version=found.version, subject=subject
            )
    names = [each.actor for each in given]
    sentence = f"Approved by {', '.join(names)}." if names else "Approved by nobody."
    echo_result({"approved_by": names}, sentence, as_json=as_json)


@click.command("archive")
@flag_option
@reason_option()
@confirm_losing_option
@json_option
@in_application
def archive_command(*, flag: str, reason: str, confirm_losing: bool, as_json: bool) -> None:
    """Take the flag from everybody and out of every SDK, once its rollout is complete or rolled back."""
    change_rollout(flag, archive.archive, as_json=as_json, versioned=True, reason=reason, confirm_losing=confirm_losing)


@click.command("revive")
@flag_option
@reason_option()
@json_option
@in_application
def revive_command(*, flag: str, reason: str, as_json: bool) -> None:
    """Give an archived flag back to SDKs, off until it is armed again."""
    change_rollout(flag, archive.revive, as_json=as_json, versioned=True, reason=reason)


@click.command("delete")
@flag_option
@reason_option()
@confirm_losing_option
@click.option("--confirm-gaining", is_flag=True, help="Go on although users gain the flag by it.")
@json_option
@in_application
def delete_command(*, flag: str, reason: str, confirm_losing: bool, confirm_gaining: bool, as_json: bool) -> None:
    """Remove an archived flag with its plans, so that its name is free.

    FLAG@ENVIRONMENT needs no archive: the flag's own rollout decides in that environment again.
    """
    change_rollout(
        flag,
        archive.delete,
        as_json=as_json,
        versioned=True,
        reason=reason,
        confirm_losing=confirm_losing,
        confirm_gaining=confirm_gaining,
    )


COMMANDS = (list_command, approve_command, archive_command, revive_command, delete_command)
