"""Prometheus and Alertmanager with the files that we ship, but for addresses and the place of the token."""

import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.processes import dies_with_us, free_port
from tests.programs import path_of
from tests.serving import ROOT

DEPLOY = ROOT / "deploy"
READY_SECONDS = 20
SHIPPED_SERVER = "http://web:8000"


@contextmanager
def alertmanager(folder: Path, target: str, token: str, *, group_interval: str | None = None) -> Iterator[str]:
    """Run Alertmanager, which tells the server at `target`; yields its own address."""
    configuration = _shipped("alertmanager.yml")
    (receiver,) = (each for each in configuration["receivers"] if each["name"] == "rollout")
    (webhook,) = receiver["webhook_configs"]
    assert webhook["url"].startswith(SHIPPED_SERVER)
    webhook["url"] = webhook["url"].replace(SHIPPED_SERVER, target)
    webhook["http_config"]["authorization"]["credentials_file"] = _secret(folder, token)
    if group_interval is not None:
        configuration["route"]["routes"][0]["group_interval"] = group_interval
    address, options = f"127.0.0.1:{free_port()}", [f"--storage.path={folder / 'alertmanager'}"]
    options += ["--cluster.listen-address=", f"--web.listen-address={address}"]
    with _running("alertmanager", folder, configuration, options, address):
        yield f"http://{address}"


@contextmanager
def prometheus(
    folder: Path, servers: Sequence[str], alertmanager_url: str, token: str, *, rules: Sequence[Path] = ()
) -> Iterator[str]:
    """Run Prometheus, which asks `servers` (host:port each) and evaluates further `rules` of the operator's own."""
    configuration = _shipped("prometheus.yml")
    shutil.copytree(DEPLOY / "rules", folder / "rules")
    configuration["rule_files"] += [str(each) for each in rules]
    (manager,) = configuration["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [alertmanager_url.removeprefix("http://")]}]
    (job,) = configuration["scrape_configs"]
    job["authorization"]["credentials_file"] = _secret(folder, token)
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": list(servers)}]
    address = f"127.0.0.1:{free_port()}"
    options = [f"--storage.tsdb.path={folder / 'prometheus'}", f"--web.listen-address={address}"]
    with _running("prometheus", folder, configuration, options, address):
        yield f"http://{address}"


@contextmanager
def _running(
    program: str, folder: Path, configuration: dict[str, Any], options: list[str], address: str
) -> Iterator[None]:
    file = folder / f"{program}.yml"
    file.write_text(yaml.safe_dump(configuration))
    with (folder / f"{program}.log").open("wb") as log:
        process = subprocess.Popen(
            [path_of(program), f"--config.file={file}", *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=dies_with_us(signal.SIGTERM),  # noqa: PLW1509 - no thread of ours forks at this moment
        )
    try:
        _wait_until_ready(f"http://{address}/-/ready", folder / f"{program}.log")
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_ready(url: str, log: Path) -> None:
    give_up = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310 - our own address
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text(errors="replace")[-2000:])


def _shipped(name: str) -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / name).read_text())
    assert isinstance(found, dict)
    return found


def _secret(folder: Path, token: str) -> str:
    secret = folder / "token"
    secret.write_text(token)
    return str(secret)
