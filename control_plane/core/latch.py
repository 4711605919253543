"""Where a rollback is in force: everywhere, or everywhere but in development and staging. Pure."""

from control_plane.core.phases import PRE_PRODUCTION, Rollout, exposure


def environments_on(rollout: Rollout) -> tuple[str, ...]:
    """Return where a flag that is rolled back is still on; nowhere if the rollback was to be in force everywhere."""
    if not rollout.latched:
        return ()
    return tuple(name for name in PRE_PRODUCTION if not exposure(rollout, name).empty)


def latch_sentence(rollout: Rollout) -> str:
    """Say who keeps a flag that is rolled back; empty where nobody does."""
    names = environments_on(rollout)
    return f"{' and '.join(names).capitalize()} {'keep' if len(names) > 1 else 'keeps'} the flag." if names else ""
