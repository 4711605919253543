"""What the environment variable ENABLE_CREDITS_V2 of this process means for its rollout, as a sentence. Pure."""

from control_plane.audiences.exposure import PRODUCTION
from control_plane.experiments.credits import FLAG
from control_plane.platform.settings import Settings
from control_plane.rollout_names import environment_of, flag_of

VARIABLE = FLAG


def variable_notice(flag: str, settings: Settings) -> str | None:
    """Say what the variable does to the rollout of `flag` on this server; None where it does nothing.

    False wins everywhere, True only outside production: there, phases decide and the guard watches.
    """
    value, environment = settings.environment_switch, settings.environment
    if flag_of(flag) != FLAG or environment_of(flag) not in (None, environment) or value is None:
        return None
    if not value:
        return f"{VARIABLE}=false is set for this server: it serves nobody, whatever the rollout says."
    if environment == PRODUCTION:
        return (
            f"{VARIABLE}=true is ignored in production: the rollout decides who has it, so that the guard can take it "
            "back. Advance the rollout, or let users in by name."
        )
    return f"{VARIABLE}=true is set for this server: it serves everybody in {environment}, whatever the rollout says."
