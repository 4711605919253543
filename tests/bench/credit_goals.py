"""A figure that the credits are to reach, and the product it is measured on."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from control_plane.platform.settings import Settings
from tests.applications import application
from tests.installation import Installation
from tests.serving import SECRET_KEY, Served, serving

SECRET = "a secret of the measured product's"


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure to reach and what was seen; without `wanted` it is only told."""

    name: str
    seen: str
    wanted: str = ""
    met: bool = True


@contextmanager
def installation_on(url: str) -> Iterator[Installation]:
    """Yield the product on this database, within this process."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(database_url=url, instance_dir=Path(folder), secret_key="-", log_format="json")
        with application(settings) as app:
            yield Installation(app)


@contextmanager
def served_on(url: str) -> Iterator[tuple[Served, str]]:
    """Yield the server with one worker, and the token of a service."""
    with installation_on(url) as installation:
        token = installation.token("service")
    with tempfile.TemporaryDirectory() as folder:
        environment = {"DATABASE_URL": url, "USER_JWT_SECRET": SECRET, "LOG_FORMAT": "json", "SECRET_KEY": SECRET_KEY}
        with serving(Path(folder), **environment) as served:
            yield served, token
