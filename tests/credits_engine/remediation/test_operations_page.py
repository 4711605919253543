"""The operator's page holds nothing that doesn't work: its commands are run as they stand there."""

import re
import secrets
import shlex
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from control_plane import rollouts
from control_plane.app import PACKAGES
from control_plane.change_context import ChangeContext
from control_plane.cli import rollout
from control_plane.core.default_plan import default_plan
from control_plane.experiments.credits import FLAG
from control_plane.platform.db.database import read_only, transaction
from flags import snapshot
from flags.evaluation.rollout_flag import EvaluationContext
from flags.snapshot import UnknownFlagError
from tests.credits_engine.conftest import Consumer

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
ADDRESS = re.compile(r"http://127\.0\.0\.1:8000(\S+)")

pytestmark = pytest.mark.database("sqlite")


def lines() -> list[str]:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    return [line.strip() for block in BLOCK.findall(page) for line in block.splitlines()]


def test_every_command_of_the_page_runs_in_its_order(
    consumer: Consumer, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = consumer.now = datetime.now(UTC)
    consumer.user("USER")
    consumer.take("USER", "k1", analysis=7)
    with transaction() as session:
        rollouts.plan(session, FLAG, default_plan(now), ChangeContext(now, "test", "test"))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("INSTANCE_DIR", str(tmp_path))
    monkeypatch.setenv("SECRET_KEY", secrets.token_urlsafe(32))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alerts.yaml").write_text((ROOT / "alerts.yaml").read_text())
    for package in PACKAGES:
        import_module(f"{package}.cli").register(rollout)
    commands = [line for line in lines() if line.startswith("rollout ")]
    assert len(commands) > 15
    for command in commands:
        shown = CliRunner().invoke(rollout, shlex.split(command)[1:])
        assert shown.exit_code == 0, f"{command}: {shown.output}"


def test_every_address_of_the_page_is_mounted(consumer: Consumer) -> None:
    calls = [line for line in lines() if line.startswith("curl ")]
    assert calls
    adapter = consumer.app.url_map.bind("")
    for call in calls:
        found = ADDRESS.search(call)
        assert found, call
        assert adapter.match(found[1], "POST" if "-X POST" in call else "GET")


def test_every_promised_test_exists() -> None:
    page = (ROOT / "docs" / "credits-guarantees.md").read_text(encoding="utf-8")
    promised = re.findall(r"`(test_\w+)`", page)
    known = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(promised) >= 24
    assert [name for name in promised if f"def {name}(" not in known] == []


def test_a_misspelled_flag_is_an_error_and_never_off(consumer: Consumer) -> None:
    context = EvaluationContext("ada", consumer.now, {"plan": "free"})
    with read_only() as session, pytest.raises(UnknownFlagError, match="ENABLE_CREDIT_V2"):
        snapshot.evaluate_now(session, "ENABLE_CREDIT_V2", context, now=consumer.now)
