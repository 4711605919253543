"""The run book for credits that do not reset, played through: each cause is found and mended by the lines it names."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from control_plane.platform.runtime import cli_support
from credits_engine.billing import schedule
from credits_engine.billing.cli import billing_group
from credits_engine.billing.models import FINDINGS
from credits_engine.billing.stripe_api.client import STRIPE_GATEWAY, connect
from tests.credits_engine.billing import fake_api
from tests.credits_engine.billing.conftest import Billing
from tests.credits_engine.billing.fake_api import KEY, FakeApi
from tests.credits_engine.billing.virtual_stripe import VirtualStripe

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^ *```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
MONTH_AGO = datetime.now(UTC).replace(microsecond=0) - timedelta(days=20)

pytestmark = pytest.mark.database("sqlite")


@dataclass
class Operator:
    """Somebody with the page in front of them: runs its lines with the names of the case put in."""

    billing: Billing

    def run(self, line: str, **names: str) -> str:
        """Return the output of one line of the page, which must stand there."""
        assert line in page_lines(), f"docs/billing.md has no line {line!r}"
        for placeholder, name in names.items():
            line = line.replace(placeholder, name)
        result = CliRunner().invoke(billing_group, shlex.split(line)[2:])
        assert result.exit_code in (0, 1), result.output
        return result.output


def page_lines() -> list[str]:
    page = (ROOT / "docs" / "billing.md").read_text(encoding="utf-8")
    return [line.strip() for block in BLOCK.findall(page) for line in block.splitlines()]


@pytest.fixture
def api() -> Iterator[FakeApi]:
    with fake_api.serving(VirtualStripe(now=MONTH_AGO)) as found:
        yield found


@pytest.fixture
def operator(billing: Billing, api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> Operator:
    monkeypatch.setattr(cli_support, "application", lambda **_: billing.app)
    STRIPE_GATEWAY.set(billing.app, connect(KEY, base_url=api.url))
    billing.now = datetime.now(UTC)
    return Operator(billing)


def test_a_customer_nobody_knew_is_linked(operator: Operator, api: FakeApi) -> None:
    api.stripe.open("cus_1", "pro_monthly")
    operator.billing.process(api.stripe.events, at=datetime.now(UTC))
    assert "Customer cus_1 is no" in operator.run("rollout billing events --state parked")
    operator.run('rollout billing link CUSTOMER USER --reason "Asked support"', CUSTOMER="cus_1", USER="ada")
    operator.billing.work(at=datetime.now(UTC))
    assert "plan: pro\n" in operator.run("rollout billing show USER", USER="ada")


def test_a_defect_is_mended_and_its_events_replayed(
    operator: Operator, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.stripe.checkout("ada", "pro_monthly")
    with monkeypatch.context() as broken:
        broken.setattr("credits_engine.billing.inbox.handler.sync_user", lambda *_, **__: 1 / 0)
        operator.billing.deliver(*api.stripe.events)
        for _ in range(20):
            operator.billing.work(at=operator.billing.now + timedelta(hours=1))
    listed = operator.run("rollout billing events --state dead")
    assert "ZeroDivisionError: division by zero" in listed
    dead = next(name for name, state in operator.billing.states().items() if state == "dead")
    assert "ZeroDivisionError" in operator.run("rollout billing show EVENT", EVENT=dead)
    operator.run('rollout billing replay --state dead --reason "Mended in the last release"')
    operator.billing.work(at=operator.billing.now + timedelta(hours=1))
    assert set(operator.billing.states().values()) <= {"applied", "superseded"}
    assert "plan: pro\n" in operator.run("rollout billing show USER", USER="ada")


def test_a_lost_event_is_found_and_corrected(operator: Operator, api: FakeApi) -> None:
    subscription = api.stripe.checkout("ada", "starter_monthly")
    operator.billing.process(api.stripe.events, at=MONTH_AGO)
    api.stripe.pass_time(MONTH_AGO + timedelta(days=3))
    api.stripe.change_price(subscription, "pro_monthly", move_anchor=True)
    assert "1 differ" in operator.run("rollout billing reconcile")
    assert "Credits reset for ada" in operator.run("rollout billing reconcile --apply")
    assert "0 differ" in operator.run("rollout billing reconcile")
    assert [plan for _, _, plan in operator.billing.periods("ada")] == ["starter", "pro"]


def test_a_gap_is_a_finding_and_filled(operator: Operator, api: FakeApi) -> None:
    subscription = api.stripe.checkout("ada", "starter_monthly")
    operator.billing.process(api.stripe.events, at=MONTH_AGO)
    api.stripe.pass_time(MONTH_AGO + timedelta(days=3))
    api.stripe.change_price(subscription, "pro_monthly")
    schedule.check(datetime.now(UTC))
    assert "no delivery brought it" in operator.run("rollout billing findings")
    ids = [row["id"] for row in operator.billing.rows(FINDINGS, kind="missed_event")]
    for finding_id in ids:
        line = 'rollout billing apply FINDING --reason "Lost while the proxy was down"'
        assert "is in the inbox" in operator.run(line, FINDING=str(finding_id))
    operator.billing.work(at=datetime.now(UTC))
    assert operator.billing.user("ada")[0] == "pro"


def test_every_line_of_the_page_that_calls_us_is_played_here() -> None:
    lines = {line for line in page_lines() if line.startswith("rollout billing")}
    source = Path(__file__).read_text(encoding="utf-8")
    assert {line for line in lines if line not in source} == set()
