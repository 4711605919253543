"""`rollout override`."""

from datetime import UTC, datetime

import click

from control_plane.change_context import ChangeContext
from control_plane.experiments.credits import FLAG
from control_plane.platform import clock
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.runtime.cli_support import (
    CommandFailed,
    actor,
    echo_result,
    in_application,
    json_option,
    reason_option,
)
from flags import store
from flags.administration.overrides import put_override, remove_override, to_json, unsent_warning
from flags.store import Effect

flag_option = click.option("--flag", default=FLAG, show_default=True, help="The flag this is about.")
until_option = click.option("--until", type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]), help="When it ends. UTC.")


@click.group("override")
def override_group() -> None:
    """Let users in or keep them out by name."""


@override_group.command("list")
@flag_option
@json_option
@in_application
def list_command(*, flag: str, as_json: bool) -> None:
    """List everybody who is let in or kept out by name."""
    with read_only() as session:
        found = [to_json(override) for override in store.list_overrides(session, flag)]
        warning = unsent_warning(session, flag, clock.now())
    lines = [f"{each['effect']:6} {each['userId']}   {_until(each['expiresAt'])}{each['reason']}" for each in found]
    lines += [warning] if warning else []
    echo_result(
        {"overrides": found} | ({"warning": warning} if warning else {}),
        "\n".join(lines) or f"{flag} has no overrides.",
        as_json=as_json,
    )


@override_group.command("allow")
@click.argument("user")
@flag_option
@reason_option()
@until_option
@json_option
@in_application
def allow_command(*, user: str, flag: str, reason: str, until: datetime | None, as_json: bool) -> None:
    """Let USER in, whatever phase the rollout is in."""
    _put(flag, user, Effect.ALLOW, reason=reason, until=until, as_json=as_json)


@override_group.command("deny")
@click.argument("user")
@flag_option
@reason_option()
@until_option
@json_option
@in_application
def deny_command(*, user: str, flag: str, reason: str, until: datetime | None, as_json: bool) -> None:
    """Keep USER out, whatever else would let them in."""
    _put(flag, user, Effect.DENY, reason=reason, until=until, as_json=as_json)


@override_group.command("end")
@click.argument("effect", type=click.Choice([effect.value for effect in Effect]))
@click.argument("user")
@flag_option
@reason_option()
@json_option
@in_application
def end_command(*, effect: str, user: str, flag: str, reason: str, as_json: bool) -> None:
    """Treat USER like everybody again."""
    with transaction() as session:
        removed = remove_override(session, flag, user, Effect(effect), ChangeContext(clock.now(), actor(), reason))
    if not removed:
        raise CommandFailed(f"No {effect} override of {flag} names {user!r}.")
    echo_result({"removed": True}, f"{flag} treats {user} like everybody again.", as_json=as_json)


def _put(flag: str, user: str, effect: Effect, *, reason: str, until: datetime | None, as_json: bool) -> None:
    ends = until.replace(tzinfo=UTC) if until else None
    with transaction() as session:
        override = put_override(
            session, flag, user, effect, ChangeContext(clock.now(), actor(), reason), expires_at=ends
        )
        warning = unsent_warning(session, flag, clock.now())
    found = to_json(override) | ({"warning": warning} if warning else {})
    verb = "is let in" if effect is Effect.ALLOW else "is kept out"
    echo_result(
        found, f"{user} {verb}. {_until(to_json(override)['expiresAt'])}{warning or ''}".strip(), as_json=as_json
    )


def _until(expires_at: str | None) -> str:
    return f"Until {expires_at}. " if expires_at else ""
