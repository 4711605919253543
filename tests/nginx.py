"""A real nginx with `deploy/nginx.conf` as it is shipped, but for addresses and certificate."""

import ipaddress
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.processes import dies_with_us, free_port
from tests.programs import path_of

CONFIGURATION = Path(__file__).parents[1] / "deploy/nginx.conf"
SERVER = {"TRUSTED_PROXIES": "1"}
"""What the configuration says that the server needs."""
PATIENCE_SECONDS = 20
SHIPPED_SERVER = re.compile(r"server 127\.0\.0\.1:8000( [^;]*)?;")
SHIPPED_RATE = "rate=200r/s"


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


@contextmanager
def nginx(folder: Path, servers: Sequence[str], *, requests_per_second: int | None = None) -> Iterator[Proxy]:
    """Run nginx in front of `servers` (host:port each), with another limit on requests where one is given."""
    port = free_port()
    certify(folder)
    text = SHIPPED_SERVER.sub(
        lambda shipped: "\n".join(f"server {each}{shipped[1] or ''};" for each in servers),
        CONFIGURATION.read_text().replace("/etc/ssl/rollout", str(folder)),
    )
    if requests_per_second is not None:
        assert SHIPPED_RATE in text
        text = text.replace(SHIPPED_RATE, f"rate={requests_per_second}r/s")
    text = re.sub(r"listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;", text)
    text = re.sub(r"listen \[::\]:443 ssl;\n", "", text)
    main = folder / "nginx.conf"
    main.write_text(f"daemon off; pid {folder}/pid; events {{}} http {{ access_log off; {text} }}")
    command = [path_of("nginx"), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(main)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    process = subprocess.Popen(command, preexec_fn=dies_with_us(signal.SIGTERM))  # noqa: PLW1509 - no thread forks now
    proxy = Proxy(f"https://127.0.0.1:{port}", folder / "fullchain.pem")
    try:
        _wait_until_it_answers(proxy)
        yield proxy
    finally:
        process.terminate()
        process.wait(10)


def certify(folder: Path) -> None:
    """Write a certificate of this machine's own, and its key, as the configuration names them."""
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


def _wait_until_it_answers(proxy: Proxy) -> None:
    give_up = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < give_up:
        try:
            proxy.get("/healthz")
        except requests.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("nginx did not answer.")
