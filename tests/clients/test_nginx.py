"""`deploy/nginx.conf` as it is shipped, in a real nginx, before the real server."""

import time
from collections.abc import Iterator
from itertools import takewhile

import pytest

from flags.store import UserAttributes
from tests.installation import Installation
from tests.nginx import CONFIGURATION, PATIENCE_SECONDS, SERVER, Proxy, nginx
from tests.serving import Served


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Return the settings that the configuration says the server needs."""
    assert "The server needs TRUSTED_PROXIES=1" in CONFIGURATION.read_text()
    return SERVER


@pytest.fixture(scope="module")
def proxy(
    served_installation: tuple[Served, Installation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    """An nginx in front of the server."""
    with nginx(tmp_path_factory.mktemp("nginx"), [served_installation[0].url.removeprefix("http://")]) as found:
        yield found


def test_a_page_is_told_that_it_came_by_https_under_the_name_that_was_asked(proxy: Proxy) -> None:
    answered = proxy.get("/", Host="rollout.example.com", Accept="text/html")
    assert answered.status_code == 303
    assert answered.headers["Location"].startswith(("/", "https://rollout.example.com/"))
    assert "max-age" in proxy.get("/sign-in").headers["Strict-Transport-Security"]


def test_nobody_outside_reads_the_metrics_or_passes_for_this_machine(proxy: Proxy) -> None:
    for path in ("/metrics", "//metrics", "/%6detrics", "/./metrics"):
        assert proxy.get(path, X_Forwarded_For="127.0.0.1").status_code == 404


def test_a_change_passes_through_without_waiting_in_a_buffer(proxy: Proxy, installation: Installation) -> None:
    installation.users(UserAttributes("beta-user", "free", beta=True))
    with proxy.get("/api/client/streaming", stream=True, Authorization=installation.token("client")) as stream:
        lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
        assert "event: unleash-connected" in _names(lines)
        installation.move(1)
        assert "event: unleash-updated" in _names(lines)


def _names(lines: Iterator[str]) -> Iterator[str]:
    """Yield the lines that name an event, as they come; none any more once patience is at an end."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    return (line for line in takewhile(lambda _: time.monotonic() < give_up, lines) if line.startswith("event:"))
