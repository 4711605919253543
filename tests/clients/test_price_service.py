"""The sample service moves its prices by itself: over real HTTP, a fault in its candidate ends its own flag alone."""

import asyncio
import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest
import requests
import yaml
from werkzeug.serving import make_server

from control_plane import rollouts
from control_plane.change_context import ChangeContext
from control_plane.core.phases import RolloutState
from control_plane.experiments.credits import FLAG as CREDITS_FLAG
from control_plane.plans import document
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import SeriesKey
from control_plane.platform.settings import Settings
from docs.examples.async_price_service import Prices
from docs.examples.price_service import FLAG, Cart, Pricing, create_app, list_price, tiered_price
from flags.client import connect
from tests.applications import application
from tests.conftest import ROOT
from tests.installation import Installation
from tests.serving import Served, serving

pytestmark = pytest.mark.faults

EXAMPLES = ROOT / "docs" / "examples"
Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture
def served_installation(sqlite_template: Path, tmp_path: Path) -> Iterator[tuple[Served, Installation]]:
    """A served installation whose alerts are the shipped ones and the example's, with both rollouts."""
    place = tmp_path / "installation"
    place.mkdir()
    (place / "rollout.db").write_bytes(sqlite_template.read_bytes())
    shipped, example = (
        yaml.safe_load(path.read_text()) for path in (ROOT / "alerts.yaml", EXAMPLES / "price_alerts.yaml")
    )
    alerts = place / "alerts.yaml"
    alerts.write_text(yaml.safe_dump(example | {"alerts": shipped["alerts"] | example["alerts"]}))
    settings = Settings(
        database_url=f"sqlite:///{place / 'rollout.db'}",
        instance_dir=place,
        secret_key="-",
        background=False,
        alerts_file=alerts,
    )
    with application(settings) as app:
        installation = Installation(app)
        installation.plan()
        with serving(place, ALERTS_FILE=str(alerts)) as served:
            yield served, installation


@pytest.fixture
def begin(installation: Installation) -> Callable[[], None]:
    """Begin the example's rollout, its first step at half of everyone."""

    def apply() -> None:
        written = document.parse((EXAMPLES / "price_plan.yaml").read_text()).plan
        (phase,) = written.phases
        plan = replace(written, phases=(replace(phase, steps=(50, 100)),))
        with installation.app.app_context(), transaction() as session:
            rollouts.plan(session, FLAG, plan, ChangeContext(datetime.now(UTC), "alice", "A new one."))

    return apply


@contextmanager
def selling(url: str, installation: Installation, place: Path, tiered: Pricing) -> Iterator[str]:
    """Yield the sample service over HTTP."""
    tokens = installation.token("client"), installation.token("service")
    flags = connect(url, tokens[0], app_name="prices", cache_dir=place, results_token=tokens[1])
    server = make_server("127.0.0.1", 0, create_app(flags, tiered=tiered), threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        flags.close()


def sell(service: str, users: int) -> list[str]:
    with requests.Session() as session:
        return [
            session.post(f"{service}/price", json={"tea": 12, "milk": 3}, headers={"X-User": f"u{number}"}).json()[
                "price"
            ]
            for number in range(users)
        ]


def sell_abroad(service: str, first: int, users: int) -> None:
    """Sell to users, the first of whom has this number; every tenth is in Norway and buys aquavit."""
    with requests.Session() as session:
        for number in range(first, first + users):
            country, cart = ("NO", {"aquavit": 1}) if number % 10 == 0 else ("DK", {"tea": 12})
            session.post(f"{service}/price", json=cart, headers={"X-User": f"u{number}", "X-Country": country})


def state(installation: Installation, flag: str) -> RolloutState:
    with installation.app.app_context(), read_only() as session:
        return rollouts.find(session, flag).state


def reason(installation: Installation) -> str:
    with installation.app.app_context(), read_only() as session:
        return rollouts.find(session, FLAG).state_reason


def test_both_ways_to_price_agree() -> None:
    for number in range(40):
        assert list_price({"tea": number, "milk": 3}) == tiered_price({"tea": number, "milk": 3})


def wrong(cart: Cart) -> Decimal:
    return tiered_price(cart) + Decimal("0.01")


def test_a_service_in_an_event_loop_reports_as_one_in_threads(
    url: str, installation: Installation, begin: Callable[[], None], tmp_path: Path, eventually: Wait
) -> None:
    begin()
    flags = connect(url, installation.token("client"), cache_dir=tmp_path, results_token=installation.token("service"))

    async def sell_some() -> list[Decimal]:
        found = await asyncio.gather(*(Prices(flags).ask(f"u{number}", {"tea": 12}) for number in range(20)))
        await asyncio.sleep(0.1)
        return found

    assert set(asyncio.run(sell_some())) == {Decimal("137.50")}
    flags.close()

    def compared() -> int:
        with installation.app.app_context(), read_only() as session:
            return signals.totals(session)[SeriesKey("price_difference")].total

    eventually(lambda: compared() == 20)


def test_a_fault_in_the_candidate_rolls_back_its_own_flag_and_nothing_else(
    url: str, installation: Installation, begin: Callable[[], None], tmp_path: Path, eventually: Wait
) -> None:
    begin()
    installation.move(0)
    fault: list[Pricing] = []

    def tiered(cart: Cart) -> Decimal:
        return (fault[0] if fault else tiered_price)(copy.copy(cart))

    with selling(url, installation, tmp_path, tiered) as service:
        assert set(sell(service, 120)) == {"175.00"}
        assert state(installation, FLAG) is RolloutState.RUNNING
        fault.append(wrong)
        give_up = datetime.now(UTC) + timedelta(seconds=60)
        while state(installation, FLAG) is RolloutState.RUNNING:
            assert datetime.now(UTC) < give_up, "The guard did nothing."
            sell(service, 40)
        assert state(installation, FLAG) is RolloutState.ROLLED_BACK
        assert reason(installation).startswith("price_difference: ")
        eventually(lambda: set(sell(service, 40)) == {"175.00"})
    assert state(installation, CREDITS_FLAG) is RolloutState.RUNNING


def test_a_fault_in_one_country_is_named(
    url: str, installation: Installation, begin: Callable[[], None], tmp_path: Path, eventually: Wait
) -> None:
    begin()
    installation.move(0)
    broken: list[bool] = []

    def tiered(cart: Cart) -> Decimal:
        if broken and "aquavit" in cart:
            raise LookupError("no tier")
        return tiered_price(cart)

    with selling(url, installation, tmp_path, tiered) as service:
        sell_abroad(service, 0, 300)
        assert state(installation, FLAG) is RolloutState.RUNNING
        broken.append(True)
        give_up, first = datetime.now(UTC) + timedelta(seconds=60), 300
        while state(installation, FLAG) is not RolloutState.ROLLED_BACK:
            assert datetime.now(UTC) < give_up, "The guard did nothing."
            sell_abroad(service, first, 40)
            first += 40
        assert "of country NO" in reason(installation)
    assert state(installation, CREDITS_FLAG) is RolloutState.RUNNING
