"""The tests talk to this machine alone: whatever reaches further is refused, by name, where it happens."""

import sys
from ipaddress import ip_address

HERE = ("", "localhost")
GUARDED = ("socket.connect", "socket.sendto", "socket.getaddrinfo")


class OutsideError(RuntimeError):
    """A test tried to reach another machine."""


def guard() -> None:
    """Refuse connections and look-ups beyond the loopback address in this process, for the rest of its life."""
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...], guarded: tuple[str, ...] = GUARDED) -> None:
    if event not in guarded:  # the function's own name for it: when Python ends, the module has none any more
        return
    target = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    host = target[0] if isinstance(target, tuple) else target  # a socket of the file system has a path, no tuple
    if event != "socket.getaddrinfo" and not isinstance(target, tuple):
        return
    if not _is_here(host):
        raise OutsideError(f"A test tried to reach {host!r}; tests stay on this machine. Give it a stand-in.")


def _is_here(host: object) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    if name is None or name in HERE:
        return True
    try:
        return ip_address(str(name)).is_loopback
    except ValueError:
        return False
