"""What is shipped fits the code: the image is built from files that exist, and configures settings that exist."""

import json
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psycopg
import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy import make_url

from alerts.cli import alerts_group
from control_plane.platform.db import pooler
from control_plane.platform.settings import Settings
from tests import postgres
from tests.applications import application
from tests.pgbouncer import composed_pgbouncer
from tests.serving import serving
from tests.wheels import PRODUCT, ROOT, build, install

DEPLOY = ROOT / "deploy"
SETTING = re.compile(r"^    \"\"\"`([A-Z0-9_]+)`", re.MULTILINE)


def test_the_image_is_built_from_files_that_exist_and_are_let_in() -> None:
    ignored, *let_in = (line.strip("!") for line in _lines(DEPLOY / "Dockerfile.dockerignore"))
    assert ignored == "*"
    copied = [line.split()[1:-1] for line in _lines(DEPLOY / "Dockerfile") if re.match(r"COPY (?!--from)", line)]
    sources = {source for line in copied for source in line}
    assert sources >= set(PRODUCT)
    assert all((ROOT / source).exists() for source in sources)
    assert sources <= set(let_in)


def test_the_image_runs_as_an_ordinary_user_and_stops_on_sigterm() -> None:
    instructions = dict(line.split(maxsplit=1) for line in _lines(DEPLOY / "Dockerfile") if line[:1].isupper())
    assert int(instructions["USER"]) > 0
    assert instructions["STOPSIGNAL"] == "SIGTERM"
    assert json.loads(instructions["ENTRYPOINT"]) + json.loads(instructions["CMD"]) == ["rollout", "serve"]


def test_the_image_finds_out_by_itself_that_it_is_ill() -> None:
    check = re.search(r"HEALTHCHECK .*\\\n\s+CMD (\[.*\])", (DEPLOY / "Dockerfile").read_text())
    assert check is not None
    program = json.loads(check[1])[-1]
    compile(program, "healthcheck", "exec")
    assert "/healthz" in program


def test_the_servers_of_compose_are_let_in_by_its_pooler_with_the_limits_of_their_role(tmp_path: Path) -> None:
    (_, _, script) = _compose()["services"]["pgbouncer"]["command"]
    with postgres.running() as server:
        with psycopg.connect(server, autocommit=True) as owner:
            owner.execute("CREATE ROLE rollout LOGIN SUPERUSER PASSWORD 'unguessable'")
            owner.execute("CREATE DATABASE rollout OWNER rollout")
        direct = make_url(server).set(username="rollout", password="unguessable", database="rollout")
        url = direct.render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as rollout:
            rollout.execute((DEPLOY / "pgbouncer-role.sql").read_bytes())
        with composed_pgbouncer(url, script) as pooled:
            settings = Settings(
                pooled, database_direct_url=url, instance_dir=tmp_path, secret_key="-", background=False
            )
            with application(settings) as app, app.app_context():
                pooler.require_usable_connections()


def test_the_image_can_back_up_the_postgresql_of_compose() -> None:
    server = re.fullmatch(r"postgres:(\d+)", _compose()["services"]["postgres"]["image"])
    client = re.search(r"postgresql-client-(\d+)", (DEPLOY / "Dockerfile").read_text())
    assert server is not None
    assert client is not None, "pg_dump is part of no Python image"
    assert int(client[1]) >= int(server[1])


def test_every_setting_the_deployment_names_is_one_the_code_reads() -> None:
    known = set(SETTING.findall((ROOT / "control_plane/platform/settings.py").read_text()))
    in_image = re.findall(r"^(?:ENV|   ) ([A-Z_]+)=", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    named = {*in_image, *_compose()["services"]["web"]["environment"]}
    assert named - {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"} <= known
    assert {"DATABASE_URL", "HOST", "INSTANCE_DIR", "ALERTS_FILE"} <= named


def test_every_file_that_compose_mounts_is_beside_it() -> None:
    services = _compose()["services"]
    mounts = [volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])]
    assert [mount for mount in mounts if mount.startswith(".") and not (DEPLOY / mount).exists()] == []
    assert (DEPLOY / services["web"]["build"]["context"] / services["web"]["build"]["dockerfile"]).is_file()


def test_nothing_but_this_machine_reaches_what_compose_publishes() -> None:
    ports = [port for service in _compose()["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize(
    ("file", "program"),
    [
        ("prometheus.yml", ["promtool", "check", "config", "--syntax-only"]),
        ("alertmanager.yml", ["amtool", "check-config"]),
    ],
)
def test_the_monitoring_configuration_is_sound_to_its_own_program(file: str, program: list[str]) -> None:
    assert isinstance(yaml.safe_load((DEPLOY / file).read_text()), dict)
    if shutil.which(program[0]):  # CI has them; elsewhere the file has at least been parsed
        checked = subprocess.run([*program, DEPLOY / file], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_rules_for_prometheus_are_those_of_the_alerts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rules,) = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["rule_files"]
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    export = ["export-prometheus", str(tmp_path / "rules"), "--file", str(ROOT / "alerts.yaml")]
    assert CliRunner().invoke(alerts_group, export).exit_code == 0
    remedy = "write them again: rollout alerts export-prometheus deploy/rules"
    assert (DEPLOY / rules).read_text() == (tmp_path / rules).read_text(), remedy


def test_the_unit_starts_our_program_with_settings_that_exist_and_little_power(tmp_path: Path) -> None:
    text = (DEPLOY / "rollout.service").read_text()
    known = set(SETTING.findall((ROOT / "control_plane/platform/settings.py").read_text()))
    assignments = re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
    named = set(re.findall(r"([A-Z_]+)=", " ".join(assignments)))
    assert named
    assert named <= known
    assert {"DynamicUser=yes", "ProtectSystem=strict", "NoNewPrivileges=yes"} <= set(text.splitlines())
    if shutil.which("systemd-analyze"):
        unit = tmp_path / "rollout.service"
        unit.write_text(text.replace("/opt/rollout/bin/rollout", sys.executable))
        checked = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution."""
    return build(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    source = wheel.parent / "source"
    files = {str(path.relative_to(source)) for name in PRODUCT for path in (source / name).rglob("*") if path.is_file()}
    assert "control_plane/app.py" in files
    assert files - set(ZipFile(wheel).namelist()) == set()


def test_the_wheel_serves_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    rollout = install(wheel, tmp_path / "venv")
    place = tmp_path / "empty"
    place.mkdir()
    version = subprocess.run([rollout, "--version"], cwd=place, capture_output=True, text=True, check=True).stdout
    assert version == f"rollout {metadata.version('rollout-control-plane')}\n"
    with serving(place, command=rollout, ALERTS_FILE="") as served:
        printed = served.log.read_text()
    assert f"Alerts    {tmp_path}/venv/share/rollout-control-plane/alerts.yaml" in printed
    assert (tmp_path / "venv/share/rollout-control-plane/glossary.md").is_file()
    template = subprocess.run([rollout, "alerts", "template"], cwd=place, capture_output=True, check=True).stdout
    assert template == (ROOT / "alerts.yaml").read_bytes()


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line and not line.startswith("#")]


def _compose() -> dict[str, Any]:
    found = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert isinstance(found, dict)
    return found
