"""Where a rollback is in force: everywhere, or everywhere but in development and staging. Pure."""

from collections.abc import Collection

from control_plane.core.phases import PRE_PRODUCTION, Rollout, exposure


def environments_on(rollout: Rollout, elsewhere: Collection[str] = ()) -> tuple[str, ...]:
    """Return where a flag that is rolled back is still on; nowhere if the rollback was to be in force everywhere.

    Of the environments in `elsewhere` other rollouts decide.
    """
    spared = environments_spared(rollout) if rollout.latched else ()
    return tuple(name for name in spared if name not in elsewhere)


def environments_spared(rollout: Rollout) -> tuple[str, ...]:
    """Return where a rollback that is not asked to be in force everywhere leaves the flag."""
    if rollout.plan.is_of_one_environment:
        return ()
    return tuple(name for name in PRE_PRODUCTION if not exposure(rollout, name).empty)


def everybody_served(rollout: Rollout) -> str:
    """Return whom the control serves after a rollback, as it stands in a sentence."""
    if rollout.plan.is_of_one_environment:
        return f"everybody in {rollout.plan.environment}"
    return "everybody in production" if environments_spared(rollout) else "everybody"


def latch_sentence(rollout: Rollout) -> str:
    """Say who keeps a flag that is rolled back; empty where nobody does."""
    names = environments_on(rollout)
    return f"{' and '.join(names).capitalize()} {'keep' if len(names) > 1 else 'keeps'} the flag." if names else ""
