"""Which version of Unleash's client specification an SDK was built to, and what that changes in what it is sent."""

import re

HEADER = "Unleash-Client-Spec"
SEGMENTS_SINCE = (4, 2, 0)
VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:[-+][0-9A-Za-z.+-]+)?")


class InvalidVersion(ValueError):  # noqa: N818 - the word for it
    """The header is no version; the message names it."""


def knows_segments(version: str | None) -> bool:
    """Return whether an SDK of this version resolves segments itself; without a version it is an old one."""
    if version is None:
        return False
    found = VERSION.fullmatch(version.strip())
    if found is None:
        raise InvalidVersion(f"{HEADER} is {version[:40]!r}; write a version such as 5.2.0.")
    return tuple(map(int, found.groups())) >= SEGMENTS_SINCE
