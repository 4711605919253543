"""Options and lines that the commands on rollouts share."""

from collections.abc import Callable

import click
from sqlalchemy.orm import Session

from control_plane.change_context import ChangeContext
from control_plane.core.latch import latch_sentence
from control_plane.core.phases import Rollout, RolloutState
from control_plane.core.transitions import Decision, Refusal
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.runtime.cli_support import CommandFailed, actor, echo_result, retry_while_locked
from control_plane.rollout_names import rollout_title
from control_plane.rollouts import service

flag_option = click.option(
    "--flag",
    default=FLAG,
    show_default=True,
    help="The flag whose rollout this is about; FLAG@ENVIRONMENT for one environment's own.",
)
confirm_losing_option = click.option("--confirm-losing", is_flag=True, help="Go on although users lose the flag by it.")


def accepted(decision: Decision) -> Rollout:
    """Return the rollout after a transition; raises CommandFailed with the reasons of a refusal."""
    if isinstance(decision, Refusal):
        raise CommandFailed(decision.sentence)
    return decision.after


def line(found: Rollout) -> str:
    """Say in one line how a rollout stands."""
    where = f"{found.phase.title}, {found.percentage} %"
    changed_at = found.state_changed_at if found.state is RolloutState.HELD else found.completed_at
    since = f"since {changed_at or found.state_changed_at:%Y-%m-%d %H:%M} UTC"
    stands = f"{rollout_title(found.flag)}: {where}, {found.state.replace('_', ' ')} {since}"
    latched = latch_sentence(found)
    return f"{stands}. {latched} `rollback --everywhere` takes it from there too." if latched else stands


def change_rollout(
    flag: str,
    use_case: Callable[..., Decision],
    *,
    as_json: bool,
    reason: str = "",
    versioned: bool = False,
    **options: object,
) -> None:
    """Run a use case and print how the rollout stands then, waiting while somebody else's lock is in the way."""

    def change(session: Session) -> Rollout:
        version = {"expected_version": service.find(session, flag).version} if versioned else {}
        context = ChangeContext(clock.now(), actor(), reason)
        return accepted(use_case(session, flag, context, **version, **options))

    found = retry_while_locked(change)
    echo_result(service.summary(found), line(found), as_json=as_json)
