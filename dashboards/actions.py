"""The actions on a rollout in its present state, with the texts of buttons and dialogs. Pure."""

from dataclasses import dataclass

from control_plane.core.latch import environments_on, everybody_served
from control_plane.core.phases import Rollout, RolloutState
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration
from dashboards.filters import pluralize
from dashboards.summaries import advance_label, step_back_label


@dataclass(frozen=True, slots=True)
class UserAction:
    """One action: `verb` is its place in the address, `consequence` says what it will do before it is done."""

    verb: str
    label: str
    question: str
    consequence: str
    done: str
    destructive: bool = False
    in_all: bool = False
    """Whether it is about every environment, so that nobody is asked which."""


def actions(rollout: Rollout, migration: Migration = CREDITS) -> tuple[UserAction, ...]:
    """The actions that need a reason, as buttons beside the next step; the destructive one last."""
    if rollout.latched:
        return (action(rollout, "rollback", migration),) if environments_on(rollout) else ()
    held = rollout.state is RolloutState.HELD
    first = {RolloutState.HELD: "resume", RolloutState.RUNNING: "hold"}.get(rollout.state)
    verbs = [first, "step-back" if step_back_label(rollout) else None, "rollback"]
    # Who holds by hand what the guard holds makes the hold their own: it then ends by hand alone.
    takeover = ["hold"] if held and rollout.held_by_guard else []
    return tuple(action(rollout, verb, migration) for verb in [*takeover, *verbs] if verb)


def action(rollout: Rollout, verb: str, migration: Migration = CREDITS, *, entering: int | None = None) -> UserAction:
    """The words for `verb`, whether or not it is possible now; `entering` known users get it by an advance."""
    control, candidate = migration.control, migration.candidate
    match verb:
        case "advance":
            label = advance_label(rollout)
            text = f"{_entering(entering)} Everybody who has {candidate} keeps it. The guard checks every second."
            return UserAction(verb, label, f"{label}?", text, f"{label}: done.")
        case "hold":
            text = "Everybody keeps the engine they have, and the rollout can't advance until somebody resumes it."
            label = "Hold by hand" if rollout.held_by_guard else "Hold"
            return UserAction(verb, label, "Hold the rollout here?", text, "Held. Nobody was added or taken out.")
        case "resume":
            text = "The next step becomes possible again as soon as its gates are open. Nothing changes before that."
            return UserAction(verb, "Resume", "Resume the rollout?", text, "Resumed.")
        case "step-back":
            label = step_back_label(rollout) or "Step back"
            text = f"The users added last go back to {control} with their next request, and the soak time begins again."
            return UserAction(verb, label, f"{label}?", text, f"{label}: done.")
        case "rearm":
            text = f"A new attempt begins at the lowest step. Production stays on {control} until it is advanced again."
            return UserAction(verb, "Re-arm", "Re-arm the rollout?", text, "Re-armed: a new attempt begins.")
        case _:
            return _rollback(rollout, migration)


def done(before: Rollout, after: Rollout, verb: str, migration: Migration = CREDITS) -> str:
    """Say what was done; the label names where one comes to, as seen from where one was."""
    if after.latched and not before.latched:
        return f"Rolled back: {migration.control} serves {everybody_served(after)}."
    return action(before, verb, migration).done


def _rollback(rollout: Rollout, migration: Migration) -> UserAction:
    control = migration.control
    if names := environments_on(rollout):
        places = " and ".join(names)
        text = f"{migration.control_title} serves {places} too, from the next request on and until it is re-armed."
        done = f"Rolled back everywhere: {control} serves {places} too."
        label, question = "Roll back everywhere", f"Roll back to {control} in {places} too?"
        return UserAction("rollback", label, question, text, done, destructive=True, in_all=True)
    served = everybody_served(rollout)
    text = (
        f"{migration.control_title} serves {served} from the next request on. "
        "Credits already used stay used. "
        "It stays so until an owner re-arms the rollout, which then begins again at its lowest step."
    )
    question = f"Roll back to {control} now?"
    return UserAction("rollback", "Roll back", question, text, f"Rolled back to {control}.", destructive=True)


def _entering(entering: int | None) -> str:
    if entering is None:
        return "More people get it."
    if not entering:
        return "No known user gets it by this step."
    return f"{pluralize(entering, 'more known user')} will get it."
