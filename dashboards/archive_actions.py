"""The actions by which a rollout ends, or comes back, with the texts of buttons and pages. Pure."""

from control_plane.core.phases import Rollout, RolloutState
from control_plane.rollout_names import flag_of
from dashboards.language import gettext
from dashboards.user_action import UserAction

ARCHIVE_VERBS = ("archive", "revive", "delete")


def verbs(rollout: Rollout) -> tuple[str, ...]:
    """Return those of `ARCHIVE_VERBS` that are possible as the rollout stands."""
    if rollout.plan.is_of_one_environment:
        return () if rollout.archived else ("delete",)
    if rollout.archived:
        return ("revive", "delete")
    return ("archive",) if rollout.state in (RolloutState.COMPLETE, RolloutState.ROLLED_BACK) else ()


def archive_action(rollout: Rollout, verb: str) -> UserAction:
    """Return the words for one of `ARCHIVE_VERBS`, whether or not it is possible now."""
    flag = flag_of(rollout.flag)
    match verb:
        case "archive":
            question = gettext("Archive %(flag)s?", flag=flag)
            return UserAction(verb, gettext("Archive"), question, _archives(rollout), gettext("Archived."))
        case "revive":
            text = gettext("SDKs get the flag again. It is off until an owner re-arms the rollout.")
            question = gettext("Revive %(flag)s?", flag=flag)
            return UserAction(verb, gettext("Revive"), question, text, gettext("Revived. It is off until re-armed."))
        case _:
            return _gives_back(rollout) if rollout.plan.is_of_one_environment else _deletes(flag)


def _archives(rollout: Rollout) -> str:
    keeps = gettext("Plans and history stay, and it can be revived.")
    if rollout.latched:
        loses = gettext("SDKs get the flag no more, so whatever still asks for it gets its own default.")
    else:
        loses = gettext(
            "Everybody who has the flag loses it, and SDKs get it no more. Take its switch out of the code first."
        )
    return f"{loses} {keeps}"


def _deletes(flag: str) -> UserAction:
    text = gettext("The plans go, and another flag may take the name. The audit trail keeps what it was.")
    question = gettext("Delete %(flag)s for good?", flag=flag)
    return UserAction("delete", gettext("Delete"), question, text, gettext("Deleted."), destructive=True)


def _gives_back(rollout: Rollout) -> UserAction:
    flag, environment = flag_of(rollout.flag), rollout.plan.environment
    return UserAction(
        "delete",
        gettext("Give %(environment)s back", environment=environment),
        gettext("Let the rollout of %(flag)s decide in %(environment)s again?", flag=flag, environment=environment),
        gettext(
            "The rollout of %(environment)s goes with its plans, and that of %(flag)s decides there from then on.",
            environment=environment,
            flag=flag,
        ),
        gettext("The rollout of %(flag)s decides in %(environment)s again.", flag=flag, environment=environment),
        destructive=True,
    )
