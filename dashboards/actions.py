"""The actions on a rollout in its present state, with the texts of buttons and dialogs. Pure."""

from control_plane.core.latch import environments_on, environments_spared
from control_plane.core.phases import LOWEST, Rollout, RolloutState, exposure_at
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import SideNames
from control_plane.rollout_names import flag_of
from dashboards.archive_actions import ARCHIVE_VERBS, archive_action
from dashboards.filters import joined, pluralize
from dashboards.language import gettext, ngettext
from dashboards.latch_sentences import serves_sentence
from dashboards.summaries import advance_label, reach, step_back_label
from dashboards.user_action import UserAction


def actions(rollout: Rollout, names: SideNames = CREDITS.names) -> tuple[UserAction, ...]:
    """Return the actions that need a reason, as buttons beside the next step; the destructive one last."""
    if rollout.latched:
        return (action(rollout, "rollback", names),) if environments_on(rollout) else ()
    held = rollout.state is RolloutState.HELD
    first = {RolloutState.HELD: "resume", RolloutState.RUNNING: "hold"}.get(rollout.state)
    verbs = [first, "step-back" if step_back_label(rollout) else None, "rollback"]
    # Who holds by hand what the guard holds makes the hold their own: it then ends by hand alone.
    takeover = ["hold"] if held and rollout.held_by_guard else []
    return tuple(action(rollout, verb, names) for verb in [*takeover, *verbs] if verb)


def action(rollout: Rollout, verb: str, names: SideNames = CREDITS.names, *, entering: int | None = None) -> UserAction:
    """Return the words for `verb`, whether or not it is possible now; `entering` known users get it by an advance."""
    control, candidate = names.control, names.candidate
    match verb:
        case "advance":
            label = advance_label(rollout)
            keeps = _keeps(rollout, candidate)
            return UserAction(verb, label, _question(label), f"{_entering(entering)} {keeps}", _done(label))
        case "hold":
            text = gettext(
                "Whoever has it keeps it, nobody else gets it, and the rollout can't advance until somebody resumes it."
            )
            label = gettext("Hold by hand") if rollout.held_by_guard else gettext("Hold")
            held = gettext("Held. Nobody was added or taken out.")
            return UserAction(verb, label, gettext("Hold the rollout here?"), text, held)
        case "resume":
            text = gettext(
                "The next step becomes possible again as soon as its gates are open. Nothing changes before that."
            )
            return UserAction(verb, gettext("Resume"), gettext("Resume the rollout?"), text, gettext("Resumed."))
        case "step-back":
            label = step_back_label(rollout) or gettext("Step back")
            text = gettext(
                "The users added last go back to %(control)s with their next request, and the soak time begins again.",
                control=control,
            )
            return UserAction(verb, label, _question(label), text, _done(label))
        case "rearm":
            text = _rearms(rollout, names)
            rearmed = gettext("Re-armed: a new attempt begins.")
            return UserAction(verb, gettext("Re-arm"), gettext("Re-arm the rollout?"), text, rearmed)
        case _:
            return archive_action(rollout, verb) if verb in ARCHIVE_VERBS else _rollback(rollout, names)


def _keeps(rollout: Rollout, candidate: str) -> str:
    if rollout.plan.is_of_one_environment:
        return gettext("Everybody who has %(candidate)s keeps it. No guard watches there.", candidate=candidate)
    return gettext("Everybody who has %(candidate)s keeps it. The guard checks every second.", candidate=candidate)


def _rearms(rollout: Rollout, names: SideNames) -> str:
    environment = rollout.plan.environment
    begins = gettext("A new attempt begins at the lowest step.")
    if rollout.plan.is_of_one_environment:
        begins = gettext("A new attempt begins at the lowest step, in %(environment)s alone.", environment=environment)
    if exposure_at(rollout.plan, LOWEST, environment).empty:
        stays = gettext(
            "Until the next advance %(control)s serves everybody in %(environment)s.",
            environment=environment,
            control=names.control,
        )
        return f"{begins} {stays}"
    candidate = names.candidate
    gets = gettext(
        "It serves %(candidate)s at once to %(reach)s.", candidate=candidate, reach=reach(rollout.plan, LOWEST)
    )
    return f"{begins} {gets}"


def done(before: Rollout, after: Rollout, verb: str, names: SideNames = CREDITS.names) -> str:
    """Say what was done; the label names where one comes to, as seen from where one was."""
    if after.latched and not before.latched and verb not in ARCHIVE_VERBS:
        return gettext("Rolled back: %(serves)s.", serves=serves_sentence(after, names))
    return action(before, verb, names).done


def _rollback(rollout: Rollout, names: SideNames) -> UserAction:
    control = names.control
    if places := environments_on(rollout):
        return _rollback_in_all(names, joined(places))
    if rollout.plan.is_of_one_environment:
        serves = gettext(
            "%(control)s serves everybody in %(environment)s from the next request on.",
            control=names.control_title,
            environment=rollout.plan.environment,
        )
    elif environments_spared(rollout):
        serves = gettext(
            "%(control)s serves everybody in production from the next request on.", control=names.control_title
        )
    else:
        serves = gettext("%(control)s serves everybody from the next request on.", control=names.control_title)
    stays = gettext("It stays so until an owner re-arms the rollout, which then begins again at its lowest step.")
    if flag_of(rollout.flag) == CREDITS.flag:
        used = gettext("Credits already used stay used.")
        stays = f"{used} {stays}"
    question, done = (
        gettext("Roll back to %(control)s now?", control=control),
        gettext("Rolled back to %(control)s.", control=control),
    )
    return UserAction("rollback", gettext("Roll back"), question, f"{serves} {stays}", done, destructive=True)


def _rollback_in_all(names: SideNames, places: str) -> UserAction:
    control = names.control
    return UserAction(
        "rollback",
        gettext("Roll back everywhere"),
        gettext("Roll back to %(control)s in %(environments)s too?", control=control, environments=places),
        gettext(
            "%(control)s serves %(environments)s too, from the next request on and until it is re-armed.",
            control=names.control_title,
            environments=places,
        ),
        gettext(
            "Rolled back everywhere: %(control)s serves %(environments)s too.", control=control, environments=places
        ),
        destructive=True,
        in_all=True,
    )


def _question(label: str) -> str:
    return gettext("%(label)s?", label=label)


def _done(label: str) -> str:
    return gettext("%(label)s: done.", label=label)


def _entering(entering: int | None) -> str:
    if entering is None:
        return gettext("More people get it.")
    if not entering:
        return gettext("No known user gets it by this step.")
    return ngettext(
        "%(users)s will get it.", "%(users)s will get it.", entering, users=pluralize(entering, "more known user")
    )
