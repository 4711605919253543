"""`deploy/nginx.conf` as it is shipped, in a real nginx, before the real server."""

import ipaddress
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from flags.store import UserAttributes
from tests import programs
from tests.billing_office import Office
from tests.processes import dies_with_us, free_port
from tests.serving import Served

CONFIGURATION = Path(__file__).parents[2] / "deploy/nginx.conf"
PATIENCE_SECONDS = 20
SERVER = {"TRUSTED_PROXIES": "1"}


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """What the configuration says that the server needs."""
    assert "The server needs TRUSTED_PROXIES=1" in CONFIGURATION.read_text()
    return SERVER


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running nginx: where it answers, and the certificate that it shows."""

    url: str
    certificate: Path

    def get(self, path: str, *, stream: bool = False, **headers: str) -> requests.Response:
        """Ask for `path` through it; a redirect is an answer."""
        wanted = {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.get(
            f"{self.url}{path}",
            headers=wanted,
            stream=stream,
            verify=str(self.certificate),
            allow_redirects=False,
            timeout=PATIENCE_SECONDS,
        )


@pytest.fixture(scope="module")
def proxy(installation: tuple[Served, Office], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Run nginx with the shipped configuration, but for addresses and certificate."""
    folder, port = tmp_path_factory.mktemp("nginx"), free_port()
    _certificate(folder)
    upstream = installation[0].url.removeprefix("http://")
    server = CONFIGURATION.read_text().replace("127.0.0.1:8000", upstream).replace("/etc/ssl/rollout", str(folder))
    server = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;", server)
    server = re.sub(r"listen \[::\]:443 ssl;\n", "", server)
    main = folder / "nginx.conf"
    main.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {server} }}")
    command = [programs.path_of("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command, preexec_fn=dies_with_us(signal.SIGTERM))  # noqa: PLW1509 - no thread forks now
    found = Proxy(f"https://127.0.0.1:{port}", folder / "fullchain.pem")
    try:
        _wait(found)
        yield found
    finally:
        process.terminate()
        process.wait(10)


def test_a_page_is_told_that_it_came_by_https_under_the_name_that_was_asked(proxy: Proxy) -> None:
    answered = proxy.get("/", Host="rollout.example.com", Accept="text/html")
    assert answered.status_code == 303
    assert answered.headers["Location"].startswith(("/", "https://rollout.example.com/"))
    assert "max-age" in proxy.get("/sign-in").headers["Strict-Transport-Security"]


def test_nobody_outside_reads_the_metrics_or_passes_for_this_machine(proxy: Proxy) -> None:
    for path in ("/metrics", "//metrics", "/%6detrics", "/./metrics"):
        assert proxy.get(path, X_Forwarded_For="127.0.0.1").status_code == 404


def test_a_change_passes_through_without_waiting_in_a_buffer(proxy: Proxy, office: Office) -> None:
    office.users(UserAttributes("beta-user", "free", beta=True))
    with proxy.get("/api/client/streaming", stream=True, Authorization=office.token("client")) as stream:
        lines = stream.iter_lines(chunk_size=1, decode_unicode=True)
        assert "event: unleash-connected" in _names(lines)
        office.move(1)
        assert "event: unleash-updated" in _names(lines)


def _names(lines: Iterator[str]) -> Iterator[str]:
    """The lines that name an event, as they come; none any more once patience is at an end."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    return (line for line in takewhile(lambda _: time.monotonic() < give_up, lines) if line.startswith("event:"))


def _wait(proxy: Proxy) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        try:
            proxy.get("/healthz")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx did not answer.")


def _certificate(folder: Path) -> None:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "rollout.example.com")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "fullchain.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(secret)
