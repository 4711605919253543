"""The database of the tests, spread: `TEST_CITUS=1` beside a `TEST_DATABASE_URL` whose server has Citus preloaded.

One node holds all shards, so a spread database is copied for each test like any other.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

ROOT = Path(__file__).parents[1]
TRIES = 100


def is_requested() -> bool:
    """Return whether the tests are to run on a distributed database."""
    return os.environ.get("TEST_CITUS") == "1"


def install(url: str) -> None:
    """Let an empty database have Citus, with itself as the one node."""
    node = (urlsplit(url).hostname, urlsplit(url).port or 5432)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION citus")
        connection.execute("SELECT citus_set_coordinator_host(%s, %s)", node)
        connection.execute("SELECT citus_set_node_property(%s, %s, 'shouldhaveshards', true)", node)


def spread(url: str, instance_dir: Path) -> None:
    """Spread it by the command."""
    settings = {"DATABASE_URL": url, "INSTANCE_DIR": str(instance_dir), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "control_plane", "db", "distribute"]
    subprocess.run(command, env=os.environ | settings, cwd=instance_dir, check=True)


def close(server_url: str, url: str) -> None:
    """Let nobody be connected, Citus's own daemon neither: only such a database can be copied."""
    name = urlsplit(url).path.removeprefix("/")
    with psycopg.connect(server_url, autocommit=True) as connection:
        forbid = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false")
        connection.execute(forbid.format(sql.Identifier(name)))
        ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s"
        for _ in range(TRIES):
            if connection.execute(ended, (name,)).fetchone() == (0,):
                return
            time.sleep(0.1)
