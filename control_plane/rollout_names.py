"""The names of rollouts: a flag's own for all its environments, FLAG@ENVIRONMENT for that of one. Pure."""

import re
from collections.abc import Iterator

SEPARATOR = "@"
PRODUCTION = "production"
LENGTH_MAX = 100
ENVIRONMENT_LENGTH_MAX = 50
FLAG_NAME = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,99}")
ENVIRONMENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
"""As tokens have them: in any other, nobody could be served."""


def flag_of(name: str) -> str:
    """Return the flag that a rollout of this name is of."""
    return name.partition(SEPARATOR)[0]


def environment_of(name: str) -> str | None:
    """Return the one environment that a rollout of this name decides; None for that of all environments."""
    return name.partition(SEPARATOR)[2] or None


def rollout_name(flag: str, environment: str | None) -> str:
    """Return the name of the rollout of `flag` in one environment; production's is the flag's own."""
    return flag if environment in (None, PRODUCTION) else f"{flag}{SEPARATOR}{environment}"


def rollout_title(name: str) -> str:
    """Return the name as people read it: `FLAG in staging`."""
    environment = environment_of(name)
    return f"{flag_of(name)} in {environment}" if environment else name


def name_errors(name: str) -> Iterator[str]:
    """Name what SDKs and addresses could not carry in the name of a rollout."""
    flag, separator, environment = name.partition(SEPARATOR)
    if not FLAG_NAME.fullmatch(flag):
        start = flag[:LENGTH_MAX]
        yield f"{start!r} can't be the name of a flag: write letters, digits and . _ ~ -, at most {LENGTH_MAX}."
    if separator:
        yield from environment_errors(environment)


def environment_errors(environment: str) -> Iterator[str]:
    """Name why there can't be a rollout of this environment alone."""
    if environment.casefold() == PRODUCTION:  # else people would read another one as it, and no guard watches that
        yield "The rollout of production is the flag's own: leave out the environment, or name another one."
    elif not ENVIRONMENT_NAME.fullmatch(environment):
        start = environment[:ENVIRONMENT_LENGTH_MAX]
        yield (
            f"{start!r} can't be the environment of a rollout: write letters, digits, _ and -, "
            f"at most {ENVIRONMENT_LENGTH_MAX}."
        )
