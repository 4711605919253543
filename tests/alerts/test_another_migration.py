"""The names and signals of a migration that is not the credits', in alerts, messages, pages and exports."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from flask.testing import FlaskClient

from alerts import prometheus_collector
from alerts.analysis.metrics import Compare
from alerts.definitions import rules_file
from alerts.definitions.parser import InvalidRules, parse
from alerts.export import expressions
from alerts.guard_job import run_guard
from alerts.notifications import store as notices
from control_plane import rollouts
from control_plane.audiences.base import AudienceKind
from control_plane.change_context import ChangeContext
from control_plane.core.phases import Phase, Plan
from control_plane.experiments.credits import CREDITS
from control_plane.experiments.migration import Migration
from control_plane.experiments.registry import register_migration
from control_plane.platform.db.database import read_only, transaction
from control_plane.platform.observability import signals
from control_plane.platform.observability.signals import Sample, SeriesKey
from tests.dashboards.browsing import page_text

PRICES = Migration.named("ENABLE_TIERED_PRICES", control="list", candidate="tiered", prefix="price")
EVERYONE = Plan(
    (Phase("everyone", "Everyone", AudienceKind.EVERYONE, (50, 100), timedelta(days=1)),), datetime.now(UTC)
)
ALERT = "{threshold: 1%, window: 5m, severity: critical"
RULES = parse(f"alerts:\n  price_failure: {ALERT}}}\n  price_difference: {ALERT}}}\n", [PRICES])


@pytest.fixture
def broken(app: Flask) -> Iterator[Flask]:
    """A rollout of prices whose candidate fails every request, rolled back by the guard."""
    now = datetime.now(UTC)
    with app.app_context():
        register_migration(PRICES)
        rules_file.current().rules = RULES
        with transaction() as session:
            rollouts.plan(session, PRICES.flag, EVERYONE, ChangeContext(now, "alice", "A new price list."))
        run_guard(now, 1)
        for user in map(str, range(40)):
            signals.record(
                Sample(PRICES.signals.failure, True, "tiered", account=user),
                Sample(PRICES.signals.failure, False, "list", "shadow"),
                Sample(PRICES.signals.failed_candidate_only, True, account=user),
            )
        assert run_guard(now + timedelta(seconds=1), 1) != []
        yield app


def test_an_alert_belongs_to_the_flag_of_its_signal() -> None:
    failure, difference = RULES
    assert (failure.flag, failure.metric.engine, failure.migration) == (PRICES.flag, "tiered", PRICES)
    assert (difference.compare, difference.metric.certifies) == (Compare.PAIRED, True)


def test_a_signal_of_one_migration_is_refused_for_another_flag() -> None:
    with pytest.raises(InvalidRules, match="price_failure is counted for ENABLE_TIERED_PRICES"):
        parse(f"alerts:\n  price_failure: {ALERT}, flag: {CREDITS.flag}}}\n", [PRICES])


@pytest.mark.parametrize("metric", ["credit_consumption_failure", "credit_drift", "credit_double_charge"])
def test_what_the_credits_count_of_their_engines_judges_no_other_flag(metric: str) -> None:
    """Or v2's failures would roll back the price list, which has nothing to do with them."""
    with pytest.raises(InvalidRules, match=f"{metric} is counted for {CREDITS.flag}"):
        parse(f"alerts:\n  prices: {ALERT}, metric: {metric}, flag: {PRICES.flag}}}\n", [PRICES])


def test_without_the_migration_its_signal_is_unknown() -> None:
    with pytest.raises(InvalidRules, match="nothing is measured under the name 'price_failure'"):
        parse(f"alerts:\n  price_failure: {ALERT}}}\n")


def test_exports_name_its_own_sides() -> None:
    failure, difference = RULES
    assert prometheus_collector.series_of(failure)[0] == SeriesKey("price_failure", "tiered", "served")
    assert expressions.bad(difference) == 'guard_bad_outcomes_total{signal="price_difference", engine!="list"}'
    (discordant,) = parse(
        "alerts:\n  price_failure_discordant: {threshold: 50%, window: 5m, severity: critical}\n", [PRICES]
    )
    assert "price_failed_candidate_only|price_failed_control_only" in expressions.total(discordant)


def test_nobody_else_may_count_its_signals(broken: Flask) -> None:
    assert all(signals.is_reserved(name) for name in PRICES.signals.all)
    assert not signals.is_reserved("price_of_beans")


@pytest.mark.database("sqlite")
def test_a_notice_and_the_page_use_its_own_names(broken: Flask, sign_in: Callable[[str], FlaskClient]) -> None:
    with read_only() as session:
        ((notice, _),) = notices.latest(session, limit=1)
    assert notice.title == f"{PRICES.flag} rolled back to list"
    assert "tiered alone is to blame" in notice.body
    assert "List serves everybody." in notice.body
    page = page_text(sign_in("victor").get(f"/rollouts/{PRICES.flag}").get_data(as_text=True))
    assert "list serves everybody" in page
    assert "Only tiered" in page
    assert "v2" not in page.partition("Exposure")[2].partition("Answers in the last hour")[0]
