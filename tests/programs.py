"""Programs that pip can't bring: where they are on this machine, and what it means when one is missing."""

import os
import shutil

import pytest

NAMES = {
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
    "amtool": ("amtool",),
    "etcd": ("etcd",),
    "faketime": ("faketime",),
    "nginx": ("nginx", "/usr/sbin/nginx"),
    "patroni": ("patroni",),
    "pgbouncer": ("pgbouncer", "/usr/sbin/pgbouncer"),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
}
PACKAGES = {
    "alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
    "etcd": "etcd-server",
    "faketime": "faketime",
    "nginx": "nginx-light",
    "patroni": "patroni",
    "pgbouncer": "pgbouncer",
    "prometheus": "prometheus",
    "promtool": "prometheus",
}


def path_of(program: str) -> str:
    """Return the path of `program`. If it is missing, skip the test; fail it with `REQUIRE_PROGRAMS=1`, as in CI."""
    found = next(filter(None, map(shutil.which, NAMES[program])), None)
    if found is None:
        stop = pytest.fail if os.environ.get("REQUIRE_PROGRAMS") == "1" else pytest.skip
        stop(f"This test needs {program}: apt-get install {PACKAGES[program]} (Debian).")
    return found
